-- Adds the calls that only the provider's platform tells of: no span above them, and none with
-- their response id, is counted.
insert into memory.building.counted_calls
with recursive climb as (
    select
        reported.span_row as leaf_row,
        link.parent_row
    from memory.building.reported_calls as reported
    inner join span_links as link
        on reported.span_row = link.span_row
    where reported.is_platform and reported.has_usage
    union all
    select
        climb.leaf_row,
        link.parent_row
    from climb
    inner join span_links as link
        on climb.parent_row = link.span_row
)
select reported.call_row as call_row
from memory.building.reported_calls as reported
where reported.is_platform
    and reported.has_usage
    and reported.span_row not in (
        select climb.leaf_row
        from climb
        inner join memory.building.reported_calls as above
            on climb.parent_row = above.span_row and above.has_usage
    )
    and not exists (
        select 1
        from memory.building.reported_calls as other
        where other.response_id = reported.response_id and not other.is_platform and other.has_usage
    )
