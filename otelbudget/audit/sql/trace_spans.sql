-- The spans of a trace, each once: span_row, span_id, parent_row (null at the top and where a circle of
-- parents is cut), parent_span_id, is_orphan, name, service, start and end in unix ns, is_error,
-- status_message, attributes as JSON, has_denials (a call was refused there). Input: $trace_id varchar.
-- Ordered by start, span_id.
select
    span.span_row,
    span.span_id,
    link.parent_row,
    span.parent_span_id,
    link.is_orphan,
    span.name,
    span.service_name,
    span.start_time_unix_nano,
    span.end_time_unix_nano,
    span.status_code = 2 as is_error,
    span.status_message,
    span.attributes,
    coalesce(contains(span.events, '"otelbudget.denied"'), false) as has_denials
from span_once as span
inner join span_links as link
    on span.span_row = link.span_row
where span.trace_id = $trace_id
order by span.start_time_unix_nano nulls last, span.span_id
