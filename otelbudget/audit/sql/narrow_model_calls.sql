-- Lets model_calls be those that are asked about.
create or replace view memory.main.model_calls as
select *
from cache.main.model_calls
where call_row in (
    select kept.call_row
    from memory.main.kept_calls as kept
)
