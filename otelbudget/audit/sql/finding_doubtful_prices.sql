-- Model calls whose price is of one confidence, by trace: trace_id, count, and what they cost.
-- Input: $confidence varchar.
select
    trace_id,
    count(*) as calls,
    sum(list_cost_pusd) as amount_pusd
from model_calls
where confidence = $confidence
group by trace_id
