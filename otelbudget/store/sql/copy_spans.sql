-- Adds every span of the attached store.
insert into memory.spans by name
select *
from store.spans
