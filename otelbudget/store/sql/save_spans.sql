-- Adds every span in memory to the attached store.
insert into store.spans by name
select *
from memory.spans
