-- Spans that tell of a call which another span or a gate tells better, by trace: trace_id, count, and
-- what adding them would have cost.
select
    reported.trace_id,
    count(*) as spans,
    sum(cost.list_cost_pusd) as amount_pusd
from twin_rows as twin
inner join reported_calls as reported
    on twin.call_row = reported.call_row
left join reported_costs as cost
    on twin.call_row = cost.call_row
group by reported.trace_id
