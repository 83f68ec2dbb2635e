-- The spans of tools: span_row, value (the tool's name, else the span's). Inputs: $marks varchar[],
-- operations of tools in double quotes, and $any_mark varchar, a pattern of them; $operations varchar[], JSON pointers to what names the
-- operation; $names varchar[], JSON pointers to what names the tool; $unnamed varchar[], names that
-- are none.
create or replace temporary table key_tellers as
with named as (
    select
        span_row,
        name,
        list_filter(
            json_extract(attributes, $operations::varchar[]),
            lambda value: starts_with(value::varchar, '"')
        )[1]::varchar as operation,
        list_filter(
            json_extract_string(attributes, $names::varchar[]),
            lambda value: value is not null and not list_contains($unnamed::varchar[], value)
        )[1] as tool
    from span_once
    where regexp_matches(attributes, $any_mark)
)
select
    span_row,
    coalesce(tool, name) as value
from named
where list_contains($marks::varchar[], operation)
