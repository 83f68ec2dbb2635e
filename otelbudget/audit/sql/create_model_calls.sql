-- One row per model call that counts and per call without usage, with the agent it belongs to (its
-- own, else the nearest ancestor's), the workflow (name of the trace's root span), and the attributes of
-- its gate's event as JSON (told; null where a span tells of it).
create or replace table model_calls as
with recursive nodes as materialized (
    select
        link.span_row,
        link.parent_row,
        named.span_row as named_row
    from span_links as link
    left join span_agents as named
        on link.span_row = named.span_row
),
climb as (
    select
        node.span_row as leaf_row,
        node.parent_row,
        node.named_row,
        0 as depth
    from nodes as node
    where node.span_row in (
        select reported.span_row
        from reported_calls as reported
        where reported.call_row in (select counted.call_row from counted_calls as counted)
    )
    union all
    select
        climb.leaf_row,
        node.parent_row,
        node.named_row,
        climb.depth + 1 as depth
    from climb
    inner join nodes as node
        on climb.parent_row = node.span_row
    where climb.named_row is null and climb.depth < 256
),
agents as (
    select
        climb.leaf_row,
        named.agent
    from climb
    inner join span_agents as named
        on climb.named_row = named.span_row
),
calls as (
    select
        span.span_row as call_row,
        span.span_row,
        span.call_id,
        span.trace_id,
        span.span_id,
        span.service,
        span.has_usage,
        span.is_error,
        span.operation,
        span.provider,
        span.request_model,
        coalesce(span.response_model, span.request_model) as model,
        span.service_tier,
        span.conversation,
        span."user",
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        case when span.has_usage then span.input else 0 end as input_tokens,
        case when span.has_usage then span.output else 0 end as output_tokens,
        case when span.has_usage then span.cache_read else 0 end as cache_read_input_tokens,
        case when span.has_usage then span.cache_write else 0 end as cache_write_input_tokens,
        case when span.has_usage then span.reasoning else 0 end as reasoning_output_tokens,
        case when span.has_usage then span.cache_write_1h else 0 end as cache_write_1h_input_tokens,
        0::bigint as audio_input_tokens,
        0::bigint as audio_output_tokens,
        0::bigint as image_input_tokens,
        0::bigint as image_output_tokens,
        0::bigint as web_searches,
        span.cache_rule,
        span.list_cost_pusd,
        span.confidence,
        span.reported_cost_usd
    from priced_spans as span
    where span.span_row in (
        select counted.call_row
        from counted_calls as counted
        where counted.call_row >= 0
    )
    union all by name
    select
        library.* exclude (
            is_gate,
            response_id,
            is_borrowed,
            is_platform,
            is_model_operation,
            response_model,
            audio_cache_read_input_tokens,
            image_cache_read_input_tokens
        ),
        coalesce(library.response_model, library.request_model) as model
    from library_calls as library
    where library.call_row in (select counted.call_row from counted_calls as counted)
)
select
    calls.* replace (
        greatest(calls.end_time_unix_nano, calls.start_time_unix_nano + 1) as end_time_unix_nano
    ),
    coalesce(json_extract_string(calls.told, '$."gen_ai.agent.name"'), agents.agent) as agent,
    root.root_name as workflow
from calls
left join agents
    on calls.span_row = agents.leaf_row
left join trace_roots as root
    on calls.trace_id = root.trace_id
