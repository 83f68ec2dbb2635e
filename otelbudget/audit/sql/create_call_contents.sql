-- What those among sibling_calls were asked whose content was captured: call_row and a digest of it.
-- Inputs: $asked varchar, a pattern of the attributes that hold it; $message varchar, a pattern of the
-- events that do.
create or replace temporary table call_contents as
with spans as (
    select
        sibling.call_row,
        span.attributes,
        span.events
    from sibling_calls as sibling
    inner join span_once as span
        on sibling.span_row = span.span_row
    where not sibling.is_told
),
keys as (
    select
        call_row,
        attributes,
        unnest(json_keys(attributes)) as key
    from spans
    where regexp_matches(attributes, $asked)
),
events as (
    select
        call_row,
        unnest(from_json(events, '[{"name": "VARCHAR", "attributes": "JSON"}]')) as event
    from spans
    where regexp_matches(events, $message)
),
parts as (
    select
        call_row,
        key,
        json_extract(attributes, '/' || replace(replace(key, '~', '~0'), '/', '~1'))::varchar
            as value
    from keys
    where regexp_matches('"' || key, $asked)
    union all
    select
        call_row,
        event.name as key,
        event.attributes::varchar as value
    from events
    where regexp_matches('"' || event.name, $message)
)
select
    call_row,
    md5(string_agg(key || '=' || value, chr(10) order by key, value)) as digest
from parts
group by call_row
