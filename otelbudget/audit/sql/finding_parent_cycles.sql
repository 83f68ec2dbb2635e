-- Cycles of parents that were cut, by trace: trace_id, count, amount_pusd.
select
    span.trace_id,
    count(*) as cycles,
    null::hugeint as amount_pusd
from cycle_tops
inner join spans as span
    on cycle_tops.span_row = span.rowid
group by span.trace_id
