-- The model calls of a trace, with usage or without: call_row, span_row, is_gate (a gate told of it),
-- has_usage, is_error, operation, provider, model, agent, start and end in unix ns, input, output, cache
-- read, cache write and reasoning tokens, list_cost_pusd, confidence. Input: $trace_id varchar.
select
    call_row,
    span_row,
    told is not null as is_gate,
    has_usage,
    is_error,
    operation,
    provider,
    model,
    agent,
    start_time_unix_nano,
    end_time_unix_nano,
    input_tokens,
    output_tokens,
    cache_read_input_tokens,
    cache_write_input_tokens,
    reasoning_output_tokens,
    list_cost_pusd,
    confidence
from model_calls
where trace_id = $trace_id
