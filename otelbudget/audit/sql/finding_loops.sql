-- The same call made five times or more in a row without an error, by trace: trace_id, count of such
-- loops, and what their calls that were made again cost. Input: $is_proven boolean, whether equal content is known.
with sets as (
    select
        trace_id,
        sum(list_cost_pusd) filter (where is_repeat) as amount_pusd
    from repeats
    where is_proven = $is_proven
        and sibling_set in (select loop.sibling_set from loops as loop)
    group by
        sibling_set,
        trace_id
)
select
    trace_id,
    count(*) as found,
    sum(amount_pusd) as amount_pusd
from sets
group by trace_id
