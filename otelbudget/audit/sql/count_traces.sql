-- One row: how many traces there are.
select count(*)
from trace_roots
