-- Spans that are asked about beside those of model calls: span_row.
create or replace table marked_spans (
    span_row bigint
)
