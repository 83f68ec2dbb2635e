-- Spans whose parent is missing, by trace: trace_id, count; most first.
select
    child.trace_id,
    count(*) as orphans
from span_once as child
where child.parent_span_id is not null
    and not exists (
        select 1
        from span_once as parent
        where parent.trace_id = child.trace_id and parent.span_id = child.parent_span_id
    )
group by child.trace_id
order by orphans desc, child.trace_id
