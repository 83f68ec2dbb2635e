-- Model calls that failed and report no usage, by trace: trace_id, count, amount_pusd.
select
    trace_id,
    count(*) as calls,
    null::hugeint as amount_pusd
from model_calls
where not has_usage and is_error
group by trace_id
