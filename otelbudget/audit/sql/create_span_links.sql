-- Which span is whose child: span_row, parent_row (null where there is no parent or it is missing),
-- is_orphan (it is missing), and starts_late: the parent does not start before it.
create or replace table span_links as
select
    child.span_row,
    parent.span_row as parent_row,
    child.parent_span_id is not null and parent.span_row is null as is_orphan,
    parent.span_row is not null
        and coalesce(parent.start_time_unix_nano >= child.start_time_unix_nano, true)
        as starts_late
from span_once as child
left join span_once as parent
    on child.trace_id = parent.trace_id and child.parent_span_id = parent.span_id
