-- The links of the traces in which a parent starts no earlier than its child, as it must somewhere
-- in a cycle: trace_id, span_row, parent_row, start_time_unix_nano, span_id. Ordered by trace.
with suspects as (
    select distinct span.trace_id
    from span_links as link
    inner join spans as span
        on link.span_row = span.rowid
    where link.starts_late
)
select
    span.trace_id,
    link.span_row,
    link.parent_row,
    span.start_time_unix_nano,
    span.span_id
from suspects
inner join spans as span
    on suspects.trace_id = span.trace_id
inner join span_links as link
    on span.rowid = link.span_row
where link.parent_row is not null
order by span.trace_id
