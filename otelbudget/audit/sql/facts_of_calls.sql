-- What was written on the spans of model calls: call_row, and the JSON text of each attribute that is
-- asked for, null where it is missing. Inputs: $names varchar[], the attributes in double quotes;
-- $paths varchar[], JSON pointers to them, as many.
select
    call.call_row,
    json_extract(span.attributes, $paths::varchar[]) as told
from model_calls as call
inner join spans as span
    on call.span_row = span.rowid
where len(list_filter($names::varchar[], lambda name: contains(span.attributes, name))) > 0
