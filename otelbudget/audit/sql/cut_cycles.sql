-- Makes the earliest span of a cycle of parents a root. Otherwise each span of the cycle would lie
-- above the others and repeat their usage, and none of it would count.
update span_once
set parent_span_id = null
where (trace_id, span_id) in (select (trace_id, span_id) from cycle_tops)
