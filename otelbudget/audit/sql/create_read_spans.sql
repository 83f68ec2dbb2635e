-- What the spans tell of model calls, read as otelbudget.genai.reading does; is_regular: the span
-- carries nothing but what this statement reads in the same way. A template, whose marks
-- otelbudget.audit.reading fills in from the dialect table.
create or replace table memory.building.read_spans as
with decoded as (
    select
        span.span_row,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.scope_name,
        span.service_name as service,
        coalesce(span.kind = 2 and span.service_name in ($platform_services), false)
            as is_platform_service,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        coalesce(
            nullif(span.start_time_unix_nano, 0), nullif(span.end_time_unix_nano, 0), $priced_at
        ) as priced_at,
        span.status_code = 2 as is_error,
        coalesce(contains(span.events, '"$call_event"'), false) as has_gate_events,
        from_json(span.attributes, '$structure') as found
    from span_once as span
    where $candidates
        or contains(span.events, '"$call_event"')
),
named as (
    select
        * exclude (found, is_platform_service),
        is_platform_service or $is_platform_scope as is_platform,
        $is_borrowed as is_borrowed,
        $is_denied as is_denied,
        $call_id as call_id,
        $names,
        $counts,
        $reported_cost as reported_cost_usd,
        not coalesce($irregular, false) as is_regular
    from decoded
),
ruled as (
    select
        * replace (
            case
                when operation is null then ''
                when $is_usual then operation
                else case operation $aliases else operation end
            end as operation
        ),
        case
            when cache_read + cache_write = 0 then 'none'
            when input < cache_read + cache_write then 'proof'
            when $excludes_cached then 'scope'
            when total = input + output then 'total'
            when total = input + output + cache_read + cache_write then 'total'
            else 'convention'
        end as cache_rule,
        input > 0 or output > 0 as has_usage
    from named
)
select
    * exclude (is_denied, cache_rule, scope_name, total) replace (
        input + case
            when cache_rule in ('proof', 'scope') then cache_read + cache_write
            when cache_rule = 'total' and total <> input + output then cache_read + cache_write
            else 0
        end as input,
        output + case
            when reasoning > output then reasoning
            when reasoning > 0 and total = input + output + reasoning then reasoning
            else 0
        end as output
    ),
    case when has_usage then cache_rule else 'none' end as cache_rule,
    operation in ($model_operations) as is_model_operation,
    is_regular and not is_denied and (has_usage or operation in ($model_operations)) as is_call
from ruled
