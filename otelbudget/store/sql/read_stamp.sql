-- One row: what the attached cache was made of and by.
select stamp
from cache.otelbudget_stamp
