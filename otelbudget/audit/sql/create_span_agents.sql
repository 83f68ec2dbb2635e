-- The agent that a span names, for the spans that name one.
create or replace table span_agents (
    trace_id varchar,
    span_id varchar,
    agent varchar
)
