-- Traces whose root span is there and has ended: trace_id, is_good; good is a root that did not fail.
select
    trace_id,
    root_status_code <> 2 as is_good
from trace_roots
where has_root and root_ended
