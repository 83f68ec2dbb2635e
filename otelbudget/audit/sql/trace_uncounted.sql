-- What spans and gates of a trace tell of model calls and is not counted there: span_row, has_usage,
-- is_platform, is_told_by_gate (the call's gate tells of it), the trace that counts a call with
-- the same response id (null: none does), input and output tokens. Input: $trace_id varchar.
with here as (
    select *
    from uncounted_calls
    where trace_id = $trace_id and (has_usage or is_model_operation)
),
elsewhere as (
    select
        response_id,
        min(trace_id) as trace_id
    from model_calls
    where response_id in (select here.response_id from here)
    group by response_id
)
select
    here.span_row,
    here.has_usage,
    here.is_platform,
    here.call_id is not null and here.call_id in (
        select gate.call_id
        from library_calls as gate
        where gate.is_gate and gate.has_usage and gate.call_id is not null
    ) as is_told_by_gate,
    elsewhere.trace_id as counted_in,
    here.input_tokens,
    here.output_tokens
from here
left join elsewhere
    on here.response_id = elsewhere.response_id
