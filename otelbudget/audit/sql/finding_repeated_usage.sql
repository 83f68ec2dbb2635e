-- Spans whose usage was not added because it repeats what is below them, by trace: trace_id, count, and
-- what adding it would have cost.
select
    reported.trace_id,
    count(*) as spans,
    sum(cost.list_cost_pusd) as amount_pusd
from reported_calls as reported
left join reported_costs as cost
    on reported.call_row = cost.call_row
where reported.has_usage
    and reported.call_row not in (select counted.call_row from counted_calls as counted)
    and reported.call_row not in (select twin.call_row from twin_rows as twin)
group by reported.trace_id
order by spans desc, reported.trace_id
