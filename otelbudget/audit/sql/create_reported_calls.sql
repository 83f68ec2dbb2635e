-- What spans and gate events say about model calls, before any of them is counted.
-- is_gate: from an otelbudget.call event, whose leaf hangs below the span; else from the span itself.
create or replace table reported_calls (
    trace_id varchar,
    span_id varchar,
    call_id varchar,
    is_gate boolean,
    has_usage boolean,
    is_model_operation boolean,
    is_error boolean,
    operation varchar,
    provider varchar,
    request_model varchar,
    response_model varchar,
    response_id varchar,
    start_time_unix_nano bigint,
    end_time_unix_nano bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_input_tokens bigint,
    cache_write_input_tokens bigint,
    reasoning_output_tokens bigint,
    cache_rule varchar,
    list_cost_pusd hugeint,
    reported_cost_usd varchar
)
