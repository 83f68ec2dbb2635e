-- The model calls: call_row, span_row, trace_id, and the attributes of the gate's event as JSON.
select
    call_row,
    span_row,
    trace_id,
    told
from model_calls
