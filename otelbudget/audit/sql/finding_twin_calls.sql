-- Spans that tell of a call which another span or a gate tells better, by trace: trace_id, count, and
-- what adding them would have cost.
select
    trace_id,
    count(*) as spans,
    sum(list_cost_pusd) as amount_pusd
from uncounted_calls
where is_twin
group by trace_id
