-- The spans that tell where their calls belong: span_row, and told, the JSON text of each attribute
-- that is asked for, null where it is missing. Inputs: $names varchar[], the attributes in double
-- quotes; $paths varchar[], JSON pointers to them, as many.
create or replace table telling_spans as
select
    span_row,
    json_extract(attributes, $paths::varchar[]) as told
from span_once
where len(list_filter($names::varchar[], lambda name: contains(attributes, name))) > 0
    and len(list_filter(json_extract(attributes, $paths::varchar[]), lambda value: value is not null)) > 0
