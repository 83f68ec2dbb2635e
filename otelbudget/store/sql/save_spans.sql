-- Adds every span of the source to the attached store.
insert into store.spans by name
select *
from source.spans
