-- The placed spans: span_row, trace_id, start in unix ns, what the span tells (null where nothing),
-- the span_row of the nearest one above that tells something, and what its resource tells, each as
-- JSON texts. Input: $paths varchar[], JSON pointers into the resource's attributes.
select
    span.span_row,
    span.trace_id,
    span.start_time_unix_nano,
    telling.told,
    above.above_row,
    json_extract(span.resource_attributes, $paths::varchar[]) as resource_told
from placed_spans as placed
inner join span_once as span
    on placed.span_row = span.span_row
left join telling_spans as telling
    on placed.span_row = telling.span_row
left join told_above as above
    on placed.span_row = above.span_row
