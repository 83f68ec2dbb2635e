-- Adds every span of the attached store.
insert into source.spans by name
select *
from store.spans
