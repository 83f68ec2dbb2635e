-- Adds the model calls that report no usage anywhere on their path: what gates say, and of spans the
-- innermost. A span is left out where its gate says anything, and where one above it that asks a model
-- reports usage.
insert into memory.building.counted_calls
with recursive told as materialized (
    select
        call_row,
        span_row,
        call_id,
        is_gate
    from memory.building.reported_calls
    where is_model_operation and not has_usage and not is_platform
),
told_by_others as (
    select
        call_id,
        bool_or(has_usage) as has_usage,
        bool_or(is_gate) as is_gate
    from memory.building.reported_calls
    where call_id is not null
    group by call_id
),
unclear as materialized (
    select
        told.call_row,
        told.span_row,
        told.is_gate
    from told
    left join told_by_others as other
        on told.call_id = other.call_id
    where not coalesce(other.has_usage, false)
        and (told.is_gate or not coalesce(other.is_gate, false))
        and (
            told.is_gate
            or not exists (select 1 from memory.building.told_below as below where below.span_row = told.span_row)
        )
),
climb as (
    select
        unclear.call_row,
        case when unclear.is_gate then unclear.span_row else link.parent_row end as span_row,
        0 as depth
    from unclear
    inner join span_links as link
        on unclear.span_row = link.span_row
    union all
    select
        climb.call_row,
        link.parent_row as span_row,
        climb.depth + 1 as depth
    from climb
    inner join span_links as link
        on climb.span_row = link.span_row
    where climb.depth < 256 and link.parent_row is not null
),
explained as (
    select climb.call_row
    from climb
    where climb.span_row in (
        select above.span_row
        from memory.building.reported_calls as above
        where above.has_usage and above.is_model_operation and not above.is_gate
    )
)
select unclear.call_row
from unclear
where not exists (select 1 from explained where explained.call_row = unclear.call_row)
