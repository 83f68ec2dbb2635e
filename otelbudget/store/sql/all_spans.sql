-- Every span of the source.
select *
from source.main.spans
