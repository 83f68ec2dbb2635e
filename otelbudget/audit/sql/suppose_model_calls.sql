-- Lets model_calls be what they would have been.
create or replace view memory.main.model_calls as
select *
from memory.main.supposed_calls
