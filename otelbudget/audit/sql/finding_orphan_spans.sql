-- Spans whose parent is missing, by trace: trace_id, count, amount_pusd.
select
    span.trace_id,
    count(*) as orphans,
    null::hugeint as amount_pusd
from span_links as link
inner join spans as span
    on link.span_row = span.rowid
where link.is_orphan
group by span.trace_id
