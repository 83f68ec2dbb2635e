-- The value that each model call's span has for a key: what we wrote on it, else its own attribute,
-- else the nearest ancestor's, else the resource's, else '(none)'.
-- Inputs: $written varchar, $attribute varchar: JSON paths of otelbudget.scope.KEY and of KEY.
-- One row per span of a model call: span_row, value.
create or replace table scope_values as
with recursive climb as (
    select
        call.span_row as leaf_row,
        link.parent_row,
        coalesce(
            json_extract_string(span.attributes, $written),
            json_extract_string(span.attributes, $attribute)
        ) as value,
        json_extract_string(span.resource_attributes, $attribute) as resource_value,
        0 as depth
    from (select distinct span_row from model_calls) as call
    inner join span_links as link
        on call.span_row = link.span_row
    inner join spans as span
        on call.span_row = span.rowid
    union all
    select
        climb.leaf_row,
        link.parent_row,
        coalesce(
            json_extract_string(span.attributes, $written),
            json_extract_string(span.attributes, $attribute)
        ) as value,
        climb.resource_value,
        climb.depth + 1 as depth
    from climb
    inner join span_links as link
        on climb.parent_row = link.span_row
    inner join spans as span
        on climb.parent_row = span.rowid
    where climb.value is null and climb.depth < 256
)
select
    leaf_row as span_row,
    coalesce(max(value), max(resource_value), '(none)') as value
from climb
group by leaf_row
