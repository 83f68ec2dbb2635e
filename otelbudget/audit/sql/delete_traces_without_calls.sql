-- Drops the traces that have no model call left, after calls outside a period were dropped.
delete from trace_roots
where trace_id not in (select trace_id from model_calls)
