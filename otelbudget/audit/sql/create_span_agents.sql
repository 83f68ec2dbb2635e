-- The agent that a span names, for the spans that name one: span_row, agent.
create or replace table span_agents as
select
    span_row,
    agent
from memory.building.read_spans
where is_regular and agent is not null
