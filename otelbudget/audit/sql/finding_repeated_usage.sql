-- Spans whose usage was not added because it repeats what is below them, by trace: trace_id, count, and
-- what adding it would have cost.
select
    trace_id,
    count(*) as found,
    sum(list_cost_pusd) as amount_pusd
from repeated_usage
group by trace_id
