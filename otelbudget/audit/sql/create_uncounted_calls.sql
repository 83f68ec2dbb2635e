-- What spans and gates tell of model calls that is not counted, as it repeats what another one tells:
-- call_row, span_row, trace_id, call_id, is_gate, is_platform, has_usage, is_model_operation, response_id,
-- input and output tokens, what it costs by itself, and is_twin (of a call of another branch or trace).
create or replace table uncounted_calls as
with uncounted as materialized (
    select *
    from memory.building.reported_calls
    where call_row not in (
        select counted.call_row
        from memory.building.counted_calls as counted
    )
)
select
    told.call_row,
    told.span_row,
    told.trace_id,
    told.call_id,
    told.is_gate,
    told.is_platform,
    told.has_usage,
    told.is_model_operation,
    told.response_id,
    told.input_tokens,
    told.output_tokens,
    cost.list_cost_pusd,
    told.call_row in (select twin.call_row from memory.building.twin_rows as twin) as is_twin
from uncounted as told
left join (
    select *
    from memory.building.reported_costs
    where call_row in (select uncounted.call_row from uncounted)
) as cost
    on told.call_row = cost.call_row
