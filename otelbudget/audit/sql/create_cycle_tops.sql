-- Spans that are made roots because the way up from them comes back to them.
create or replace table cycle_tops (
    span_row bigint
)
