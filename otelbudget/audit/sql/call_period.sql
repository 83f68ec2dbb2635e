-- One row: when the first model call started and when the last ended, in unix ns.
select
    min(start_time_unix_nano) as starts_at,
    max(end_time_unix_nano) as ends_at
from model_calls
where start_time_unix_nano is not null
    and (has_usage or not is_error)
