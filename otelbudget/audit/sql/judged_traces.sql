-- Traces whose root span is there and has ended: trace_id, is_good (the root did not fail), attributes
-- of the root as JSON.
select
    root.trace_id,
    root.root_status_code <> 2 as is_good,
    span.attributes
from trace_roots as root
inner join spans as span
    on root.root_row = span.rowid
where root.has_root and root.root_ended
