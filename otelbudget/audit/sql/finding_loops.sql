-- The same call made five times or more without an error, by trace: trace_id, count of such loops, and
-- what their calls but the first cost. Input: $is_proven boolean, whether equal content is known.
with sets as (
    select
        trace_id,
        count(*) filter (where is_repeat) as found,
        sum(list_cost_pusd) filter (where is_repeat) as amount_pusd
    from repeats
    where is_proven = $is_proven
    group by
        sibling_set,
        trace_id
)
select
    trace_id,
    count(*) as found,
    sum(amount_pusd) as amount_pusd
from sets
where found >= 4
group by trace_id
