-- Adds what each model call has for a key: what its gate's event tells, else the nearest span at or
-- above it among key_tellers, else its resource. Inputs: $key_number integer; $written and $own
-- varchar, JSON pointers into the event; $resource_name varchar, the attribute in double quotes, and
-- $resource varchar, the JSON pointer to it, null where resources do not count.
insert into key_values
with recursive calls as (
    select
        call.call_row,
        call.span_row,
        call.parent_row,
        coalesce(
            json_extract_string(call.told, $written),
            json_extract_string(call.told, $own),
            teller.value
        ) as value
    from model_calls as call
    left join key_tellers as teller
        on call.span_row = teller.span_row
),
climb as (
    select distinct
        parent_row as place,
        parent_row as at_row,
        0 as depth
    from calls
    where value is null and parent_row is not null
    union all
    select
        climb.place,
        link.parent_row as at_row,
        climb.depth + 1 as depth
    from climb
    inner join span_links as link
        on climb.at_row = link.span_row
    where link.parent_row is not null
        and climb.depth < 256
        and climb.at_row not in (select teller.span_row from key_tellers as teller)
),
above as (
    select
        climb.place,
        teller.value
    from climb
    inner join key_tellers as teller
        on climb.at_row = teller.span_row
),
resources as (
    select
        span_row,
        json_extract_string(resource_attributes, $resource) as value
    from span_once
    where contains(resource_attributes, $resource_name)
)
select
    $key_number as key_number,
    calls.call_row,
    left(coalesce(calls.value, above.value, resource.value), 200) as value
from calls
left join above
    on calls.parent_row = above.place
left join resources as resource
    on calls.span_row = resource.span_row
