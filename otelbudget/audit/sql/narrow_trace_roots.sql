-- Lets trace_roots be those of the traces that have a call which is asked about.
create or replace view memory.main.trace_roots as
select *
from cache.main.trace_roots
where trace_id in (
    select model_calls.trace_id
    from memory.main.model_calls
)
