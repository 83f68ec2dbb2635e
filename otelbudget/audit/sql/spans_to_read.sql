-- Spans that the library itself must read: the fields of otelbudget.audit.calls.SpanToRead, in order.
select
    library.span_row,
    library.reads_span,
    told.trace_id,
    told.span_id,
    told.service,
    told.is_platform,
    told.is_borrowed,
    told.is_error,
    span.scope_name,
    span.start_time_unix_nano,
    span.end_time_unix_nano,
    span.attributes,
    case when library.reads_events then span.events end as events
from memory.building.library_spans as library
inner join memory.building.read_spans as told
    on library.span_row = told.span_row
inner join spans as span
    on library.span_row = span.rowid
