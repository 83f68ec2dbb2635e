-- Adds the name of each model call's span. Input: $key_number integer.
insert into key_values
select
    $key_number as key_number,
    call.call_row,
    span.name as value
from model_calls as call
inner join spans as span
    on call.span_row = span.rowid
