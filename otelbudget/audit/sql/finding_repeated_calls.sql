-- Calls that were made again, and are no loop, by trace: trace_id, count of those made again, and what
-- they cost. Input: $is_proven boolean, whether equal content is known.
with sets as (
    select
        trace_id,
        count(*) filter (where is_repeat) as found,
        sum(list_cost_pusd) filter (where is_repeat) as amount_pusd
    from repeats
    where is_proven = $is_proven
        and sibling_set not in (select loop.sibling_set from loops as loop)
    group by
        sibling_set,
        trace_id
)
select
    trace_id,
    sum(found) as found,
    sum(amount_pusd) as amount_pusd
from sets
where found > 0
group by trace_id
