-- One row: the first attribute that held a token count which is none, and its span.
select
    faulty.attribute,
    span.trace_id,
    span.span_id,
    span.attributes
from faulty_values as faulty
inner join spans as span
    on faulty.span_row = span.rowid
order by faulty.span_row, faulty.attribute
limit 1
