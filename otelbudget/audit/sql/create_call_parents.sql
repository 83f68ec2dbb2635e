-- The spans that counted calls are told right below: parent_row, its trace_id and span_id, and the agent
-- of the nearest span at or above it that names one (null where none does).
create or replace table memory.building.call_parents as
with recursive parents as materialized (
    select distinct link.parent_row
    from span_links as link
    where link.parent_row is not null
        and link.span_row in (
            select reported.span_row
            from memory.building.reported_calls as reported
            where reported.call_row in (
                select counted.call_row
                from memory.building.counted_calls as counted
            )
        )
),
climb as (
    select
        parent_row,
        parent_row as at_row,
        1 as depth
    from parents
    union all
    select
        climb.parent_row,
        link.parent_row as at_row,
        climb.depth + 1 as depth
    from climb
    inner join span_links as link
        on climb.at_row = link.span_row
    where link.parent_row is not null
        and climb.depth < 256
        and climb.at_row not in (select named.span_row from span_agents as named)
)
select
    parents.parent_row,
    span.trace_id,
    span.span_id,
    named.agent
from parents
inner join spans as span
    on parents.parent_row = span.rowid
left join (
    select
        climb.parent_row,
        named.agent
    from climb
    inner join span_agents as named
        on climb.at_row = named.span_row
) as named
    on parents.parent_row = named.parent_row
