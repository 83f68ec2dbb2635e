-- One row per model call that counts and per call without usage, with the agent it belongs to (its
-- own, else the nearest ancestor's), the workflow (name of the trace's root span), and the attributes of
-- its gate's event as JSON (told; null where a span tells of it). parent_row is that of its span, found
-- by the ids that come with the span; the tops of cycles have none.
create or replace table model_calls as
with calls as (
    select
        span.span_row as call_row,
        span.span_row,
        span.call_id,
        span.trace_id,
        span.span_id,
        span.service,
        span.response_id,
        span.is_borrowed,
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
        span.reported_cost_usd,
        span.agent,
        case
            when span.span_row not in (select top.span_row from cycle_tops as top)
                then span.parent_span_id
        end as parent_span_id
    from memory.building.priced_spans as span
    where span.span_row in (
        select counted.call_row
        from memory.building.counted_calls as counted
        where counted.call_row >= 0
    )
    union all by name
    select
        library.* exclude (
            is_gate,
            is_platform,
            is_model_operation,
            response_model,
            audio_cache_read_input_tokens,
            image_cache_read_input_tokens
        ),
        coalesce(library.response_model, library.request_model) as model,
        coalesce(json_extract_string(library.told, '$."gen_ai.agent.name"'), named.agent) as agent,
        parent.span_id as parent_span_id
    from library_calls as library
    left join span_agents as named
        on library.span_row = named.span_row
    inner join span_links as link
        on library.span_row = link.span_row
    left join spans as parent
        on link.parent_row = parent.rowid
    where library.call_row in (
        select counted.call_row
        from memory.building.counted_calls as counted
    )
)
select
    calls.* exclude (parent_span_id) replace (
        greatest(calls.end_time_unix_nano, calls.start_time_unix_nano + 1) as end_time_unix_nano,
        coalesce(calls.agent, parent.agent) as agent
    ),
    parent.parent_row,
    root.root_name as workflow
from calls
left join memory.building.call_parents as parent
    on calls.parent_span_id = parent.span_id and calls.trace_id = parent.trace_id
left join trace_roots as root
    on calls.trace_id = root.trace_id
