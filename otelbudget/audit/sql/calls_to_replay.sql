-- The model calls with usage: trace_id, tier, span_id, provider, model, start and end in unix ns (end after
-- start, both null without a start), input_tokens, output_tokens, list_cost_pusd.
select
    call.trace_id,
    root.tier,
    call.span_id,
    call.provider,
    call.model,
    call.start_time_unix_nano,
    call.end_time_unix_nano,
    call.input_tokens,
    call.output_tokens,
    call.list_cost_pusd
from model_calls as call
left join trace_roots as root
    on call.trace_id = root.trace_id
where call.has_usage
