-- Spans that may tell of a model call or name an agent: trace_id, span_id, scope_name,
-- start_time_unix_nano, end_time_unix_nano, status_code, attributes, events.
select
    trace_id,
    span_id,
    scope_name,
    start_time_unix_nano,
    end_time_unix_nano,
    status_code,
    attributes,
    case when contains(events, '"otelbudget.call"') then events end as events
from span_once
where contains(attributes, 'oken')
    or contains(attributes, 'gen_ai.')
    or contains(attributes, 'openinference.')
    or contains(attributes, 'llm.')
    or contains(attributes, 'agent')
    or contains(events, '"otelbudget.call"')
