-- Model calls with usage whose price is unknown, by trace: trace_id, count, amount_pusd.
select
    trace_id,
    count(*) as calls,
    null::hugeint as amount_pusd
from model_calls
where has_usage and list_cost_pusd is null
group by trace_id
