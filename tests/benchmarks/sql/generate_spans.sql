-- Fills a new store with traces of ten spans: a root, an agent, six model calls, two tools.
-- Input: $spans bigint.
insert into store.spans by name
select
    printf('%032x', trace) as trace_id,
    printf('%016x', trace * 10 + place + 1) as span_id,
    case
        when place = 0 then null
        when place = 1 then printf('%016x', trace * 10 + 1)
        else printf('%016x', trace * 10 + 2)
    end as parent_span_id,
    case
        when place = 0 then 'POST /w' || (trace % 20)
        when place = 1 then 'invoke_agent a' || (trace % 7)
        when place < 8 then 'chat'
        else 'execute_tool t' || place
    end as name,
    (case when place between 2 and 7 then 3 else 1 end)::tinyint as kind,
    1790000000000000000 + trace * 200000000
    + case when place < 2 then place else place * 1000000000 end as start_time_unix_nano,
    1790000000000000000 + trace * 200000000
    + case
        when place < 2 then 12000000000 - place
        else place * 1000000000 + 800000000 + (number % 900000000)::bigint
    end as end_time_unix_nano,
    0::tinyint as status_code,
    case
        when place = 0 then '{"http.route":"/w","tenant.id":"t' || (trace % 500) || '"}'
        when place = 1
            then
                '{"gen_ai.operation.name":"invoke_agent","gen_ai.agent.name":"a' || (trace % 7) || '"}'
        when place < 8
            then
                '{"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai",'
                || '"gen_ai.request.model":"' || model || '","gen_ai.response.id":"chatcmpl-'
                || printf('%016x', trace * 10 + place) || '","gen_ai.response.model":"' || model
                || '","gen_ai.usage.input_tokens":' || (100 + number % 5000)
                || ',"gen_ai.usage.output_tokens":' || (10 + (number // 7) % 900)
                || ',"server.address":"api.openai.com"}'
        else '{"gen_ai.operation.name":"execute_tool","gen_ai.tool.name":"t' || place || '"}'
    end as attributes,
    0 as dropped_attributes_count,
    0 as dropped_events_count,
    0 as dropped_links_count,
    'opentelemetry.instrumentation.genai.openai' as scope_name,
    '1.3b0' as scope_version,
    0 as scope_dropped_attributes_count,
    'svc' || (trace % 3) as service_name,
    '{"service.name":"svc' || (trace % 3) || '"}' as resource_attributes,
    0 as resource_dropped_attributes_count
from (
    select
        i // 10 as trace,
        i % 10 as place,
        hash(i) as number,
        case when hash(i // 10) % 3 = 0 then 'gpt-4o' else 'gpt-4o-mini' end as model
    from range($spans) as numbers(i)
)
