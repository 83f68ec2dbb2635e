-- The value that each model call's span has for a key: what we wrote on it, else its own attribute,
-- else the nearest ancestor's, else the resource's, else '(none)'.
-- Inputs: $written varchar, $attribute varchar: JSON paths of otelbudget.scope.KEY and of KEY.
-- One row per span of a model call: trace_id, span_id, value.
create or replace table scope_values as
with recursive climb as (
    select
        call.trace_id,
        call.span_id as leaf_id,
        span.parent_span_id,
        coalesce(
            json_extract_string(span.attributes, $written),
            json_extract_string(span.attributes, $attribute)
        ) as value,
        json_extract_string(span.resource_attributes, $attribute) as resource_value,
        0 as depth
    from (select distinct trace_id, span_id from model_calls) as call
    inner join span_once as span
        on call.trace_id = span.trace_id and call.span_id = span.span_id
    union all
    select
        climb.trace_id,
        climb.leaf_id,
        span.parent_span_id,
        coalesce(
            json_extract_string(span.attributes, $written),
            json_extract_string(span.attributes, $attribute)
        ) as value,
        climb.resource_value,
        climb.depth + 1 as depth
    from climb
    inner join span_once as span
        on climb.trace_id = span.trace_id and climb.parent_span_id = span.span_id
    where climb.value is null and climb.depth < 256
)
select
    trace_id,
    leaf_id as span_id,
    coalesce(max(value), max(resource_value), '(none)') as value
from climb
group by trace_id, leaf_id
