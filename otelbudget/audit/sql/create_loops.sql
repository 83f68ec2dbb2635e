-- The sets of `repeats` with five calls in a row, each after the one before had ended: sibling_set. Of
-- those that may come next the one that ends first is taken, which makes the row as long as it can be.
create or replace temporary table loops as
with recursive suspects as (
    select sibling_set
    from repeats
    group by sibling_set
    having count(*) filter (where is_repeat) >= 4
),
calls as (
    select
        call.sibling_set,
        call.starts_at,
        call.ends_at,
        row_number() over (
            partition by call.sibling_set
            order by call.ends_at nulls last, call.call_row
        ) as place
    from repeats as call
    where call.sibling_set in (select suspect.sibling_set from suspects as suspect)
),
chains as (
    select
        sibling_set,
        place,
        ends_at,
        1 as calls
    from calls
    where place = 1
    union all
    select
        chain.sibling_set,
        min(call.place) as place,
        arg_min(call.ends_at, call.place) as ends_at,
        chain.calls + 1 as calls
    from chains as chain
    inner join calls as call
        on chain.sibling_set = call.sibling_set
        and chain.place < call.place
        and chain.ends_at <= call.starts_at
    where chain.calls < 5
    group by
        chain.sibling_set,
        chain.calls
)
select sibling_set
from chains
where calls = 5
