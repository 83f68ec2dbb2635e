-- Attributes that hold a token count which is none, by trace: trace_id, count, amount_pusd.
select
    span.trace_id,
    count(*) as attributes,
    null::hugeint as amount_pusd
from faulty_values as faulty
inner join spans as span
    on faulty.span_row = span.rowid
group by span.trace_id
