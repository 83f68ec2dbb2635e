-- What spans and gate events say about model calls, before any of them is counted: a view of the
-- spans that SQL reads as the library does, and of what the library read. Cost comes with the calls
-- that count, in model_calls. call_row is the span's span_row, or below 0.
-- is_gate: from an otelbudget.call event, whose leaf hangs below the span; else from the span itself.
-- is_borrowed: a library wrote it onto its caller's span, so it is a leaf below that span too.
-- is_platform: the provider tells it, of a call whose client may tell of it already.
create or replace view memory.building.reported_calls as
select
    span.span_row as call_row,
    span.span_row,
    span.trace_id,
    span.span_id,
    span.call_id,
    false as is_gate,
    span.is_borrowed,
    span.is_platform,
    span.has_usage,
    span.is_model_operation,
    span.response_model,
    span.response_id,
    span.start_time_unix_nano,
    span.end_time_unix_nano,
    span.input as input_tokens,
    span.output as output_tokens,
    span.cache_read as cache_read_input_tokens,
    span.cache_write as cache_write_input_tokens,
    span.cache_write_1h as cache_write_1h_input_tokens
from memory.building.read_spans as span
where span.is_call
union all
select
    call_row,
    span_row,
    trace_id,
    span_id,
    call_id,
    is_gate,
    is_borrowed,
    is_platform,
    has_usage,
    is_model_operation,
    response_model,
    response_id,
    start_time_unix_nano,
    end_time_unix_nano,
    input_tokens,
    output_tokens,
    cache_read_input_tokens,
    cache_write_input_tokens,
    cache_write_1h_input_tokens
from library_calls
