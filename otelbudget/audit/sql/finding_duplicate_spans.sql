-- Spans that were delivered again, by trace: trace_id, count, amount_pusd.
select
    span.trace_id,
    count(*) as deliveries,
    null::hugeint as amount_pusd
from repeated_deliveries as repeated
inner join spans as span
    on repeated.span_row = span.rowid
group by span.trace_id
