-- The model calls, with usage or without: call_row, span_row, trace_id, span_id, provider, model,
-- request_model, start and end in unix ns (both null without a start), has_usage, is_error, the
-- attributes of the gate's event as JSON, list_cost_pusd, and tokens by class as in TokenUsage. A call
-- whose usage a span tells, because its gate could not read it, has the times of the gate.
select
    call.call_row,
    call.span_row,
    call.trace_id,
    call.span_id,
    call.provider,
    call.model,
    call.request_model,
    coalesce(gate.start_time_unix_nano, call.start_time_unix_nano) as start_time_unix_nano,
    coalesce(gate.end_time_unix_nano, call.end_time_unix_nano) as end_time_unix_nano,
    call.has_usage,
    call.is_error,
    coalesce(call.told, gate.told) as told,
    call.list_cost_pusd,
    call.input_tokens,
    call.output_tokens,
    call.cache_read_input_tokens,
    call.cache_write_input_tokens,
    call.reasoning_output_tokens
from model_calls as call
left join library_calls as gate
    on call.told is null
    and call.call_id = gate.call_id
    and gate.is_gate
