-- One row: how many attributes held a token count that is none.
select count(*)
from faulty_values
