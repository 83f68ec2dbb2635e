-- One row: when the first model call started, when the last ended and when the last started, in
-- unix ns.
select
    min(start_time_unix_nano) as starts_at,
    max(end_time_unix_nano) as ends_at,
    max(start_time_unix_nano) as last_starts_at
from model_calls
where start_time_unix_nano is not null
    and (has_usage or not is_error)
