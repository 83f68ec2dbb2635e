-- One row per model call that counts and per call without usage, with the agent it belongs to (its own, else the nearest
-- ancestor's) and the workflow (name of the trace's root span).
create or replace table model_calls as
with recursive climb as (
    select
        call.trace_id,
        call.span_id as leaf_id,
        call.span_id,
        span.parent_span_id,
        named.agent,
        0 as depth
    from (select distinct trace_id, span_id from counted_calls) as call
    inner join span_once as span
        on call.trace_id = span.trace_id and call.span_id = span.span_id
    left join span_agents as named
        on call.trace_id = named.trace_id and call.span_id = named.span_id
    union all
    select
        climb.trace_id,
        climb.leaf_id,
        span.span_id,
        span.parent_span_id,
        named.agent,
        climb.depth + 1 as depth
    from climb
    inner join span_once as span
        on climb.trace_id = span.trace_id and climb.parent_span_id = span.span_id
    left join span_agents as named
        on span.trace_id = named.trace_id and span.span_id = named.span_id
    where climb.agent is null and climb.depth < 256
),
agents as (
    select
        trace_id,
        leaf_id,
        max(agent) as agent
    from climb
    where agent is not null
    group by trace_id, leaf_id
)
select
    call.trace_id,
    call.span_id,
    call.call_id,
    call.has_usage,
    call.is_error,
    call.operation,
    call.provider,
    coalesce(call.response_model, call.request_model) as model,
    agents.agent,
    span.service_name as service,
    root.root_name as workflow,
    call.start_time_unix_nano,
    greatest(call.end_time_unix_nano, call.start_time_unix_nano + 1) as end_time_unix_nano,
    call.input_tokens,
    call.output_tokens,
    call.cache_read_input_tokens,
    call.cache_write_input_tokens,
    call.reasoning_output_tokens,
    call.cache_rule,
    call.list_cost_pusd,
    call.reported_cost_usd
from counted_calls as call
inner join span_once as span
    on call.trace_id = span.trace_id and call.span_id = span.span_id
left join agents
    on call.trace_id = agents.trace_id and call.span_id = agents.leaf_id
left join trace_roots as root
    on call.trace_id = root.trace_id
