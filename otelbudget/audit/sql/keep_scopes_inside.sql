-- The calls of the traces whose first call starts in a period. Inputs: $since bigint, $until bigint.
create or replace table kept_calls as
select call_row
from model_calls
where trace_id in (
    select trace_id
    from model_calls
    group by trace_id
    having min(start_time_unix_nano) >= $since and min(start_time_unix_nano) < $until
)
