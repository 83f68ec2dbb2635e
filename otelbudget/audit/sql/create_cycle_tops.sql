-- Spans that are made roots because the way up from them comes back to them.
create or replace table cycle_tops (
    trace_id varchar,
    span_id varchar
)
