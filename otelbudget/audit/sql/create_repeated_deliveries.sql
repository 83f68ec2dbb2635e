-- The deliveries of spans that are not counted: of several deliveries of a span the more complete
-- one stays: ended before open, then more attributes, then whatever their order of arrival. Row: span_row.
create or replace table repeated_deliveries as
with repeated as (
    select
        trace_id,
        span_id
    from spans
    group by trace_id, span_id
    having count(*) > 1
)
select span_row
from (
    select
        spans.rowid as span_row,
        row_number() over (
            partition by spans.trace_id, spans.span_id
            order by
                spans.end_time_unix_nano is null,
                length(spans.attributes) desc,
                spans.attributes,
                spans.rowid
        ) as delivery
    from spans
    semi join repeated
        on spans.trace_id = repeated.trace_id and spans.span_id = repeated.span_id
)
where delivery > 1
