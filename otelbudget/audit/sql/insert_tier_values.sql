-- Adds the tier that each model call's run asked for. The run is the nearest that is told; within it
-- the nearest span that tells both run and tier says the tier, else the outermost that tells a tier.
-- Input: $key_number integer.
insert into key_values
with recursive tellers as (
    select
        span_row,
        nullif(json_extract_string(attributes, '$."otelbudget.run.id"'), '') as run_id,
        nullif(json_extract_string(attributes, '$."otelbudget.tier"'), '') as tier,
        contains(attributes, '"otelbudget.run.outer_ids"') as has_outer
    from span_once
    where contains(attributes, '"otelbudget.tier"')
        or contains(attributes, '"otelbudget.run.id"')
),
climb as (
    select distinct
        span_row as place,
        span_row as at_row,
        0 as depth
    from model_calls
    where exists (from tellers)
    union all
    select
        climb.place,
        link.parent_row as at_row,
        climb.depth + 1 as depth
    from climb
    inner join span_links as link
        on climb.at_row = link.span_row
    where link.parent_row is not null and climb.depth < 256
),
layers as (
    select
        climb.place,
        climb.depth,
        teller.run_id,
        teller.tier,
        teller.has_outer,
        arg_min(teller.run_id, climb.depth) filter (where teller.run_id is not null)
            over (partition by climb.place) as nearest_run
    from climb
    inner join tellers as teller
        on climb.at_row = teller.span_row
),
bounds as (
    select
        place,
        any_value(nearest_run) as run_id,
        coalesce(
            min(depth) filter (where run_id is not null and run_id <> nearest_run),
            9223372036854775807
        ) as other_depth,
        coalesce(
            min(depth) filter (where run_id = nearest_run and has_outer), 9223372036854775807
        ) as opened_depth
    from layers
    group by place
),
tops as (
    select
        layer.place,
        max(layer.depth) as depth
    from layers as layer
    inner join bounds as bound
        on layer.place = bound.place
    where bound.run_id is null
        or (
            layer.run_id = bound.run_id
            and layer.depth < bound.other_depth
            and layer.depth <= bound.opened_depth
        )
    group by layer.place
),
told as (
    select
        layer.place,
        any_value(layer.nearest_run) as run_id,
        coalesce(
            arg_min(layer.tier, layer.depth)
                filter (where layer.tier is not null and layer.run_id is not null),
            arg_max(layer.tier, layer.depth) filter (where layer.tier is not null)
        ) as tier
    from layers as layer
    inner join tops as top
        on layer.place = top.place and layer.depth <= top.depth
    group by layer.place
),
calls as (
    select
        call_row,
        span_row,
        json_extract_string(told, '$."otelbudget.run.id"') as run_id,
        json_extract_string(told, '$."otelbudget.tier"') as tier
    from model_calls
)
select
    $key_number as key_number,
    calls.call_row,
    case
        when calls.run_id is null then coalesce(told.tier, calls.tier)
        when calls.run_id is not distinct from told.run_id then coalesce(calls.tier, told.tier)
        else calls.tier
    end as value
from calls
left join told
    on calls.span_row = told.place
