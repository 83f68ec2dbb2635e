-- Calls in the order of their traces and starts.
select
    trace_id,
    start_time_unix_nano,
    end_time_unix_nano,
    list_cost_pusd::bigint as list_cost_pusd
from model_calls
order by
    trace_id,
    start_time_unix_nano
