-- The links of the traces in which a parent starts no earlier than its child, as it must somewhere
-- in a cycle: trace_id, span_id, parent_span_id, start_time_unix_nano. Ordered by trace.
with suspects as (
    select distinct child.trace_id
    from span_once as child
    inner join span_once as parent
        on child.trace_id = parent.trace_id and child.parent_span_id = parent.span_id
    where coalesce(parent.start_time_unix_nano >= child.start_time_unix_nano, true)
)
select
    span.trace_id,
    span.span_id,
    span.parent_span_id,
    span.start_time_unix_nano
from span_once as span
inner join suspects
    on span.trace_id = suspects.trace_id
where span.parent_span_id is not null
order by span.trace_id
