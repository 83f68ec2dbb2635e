-- One row: how many deliveries of spans there are.
select count(*)
from spans
