-- Spans that tell of tools, refusals or raised limits: span_row, trace_id, span_id, parent_row,
-- scope_name, start in unix ns, attributes and events as JSON. Inputs: $events varchar[], names of
-- events in double quotes; $tools varchar[], operations of tools in double quotes.
-- Ordered by start, trace_id, span_id.
select
    span.span_row,
    span.trace_id,
    span.span_id,
    link.parent_row,
    span.scope_name,
    span.start_time_unix_nano,
    span.attributes,
    span.events
from span_once as span
inner join span_links as link
    on span.span_row = link.span_row
where len(list_filter($events::varchar[], lambda name: contains(span.events, name))) > 0
    or len(list_filter($tools::varchar[], lambda name: contains(span.attributes, name))) > 0
order by span.start_time_unix_nano, span.trace_id, span.span_id
