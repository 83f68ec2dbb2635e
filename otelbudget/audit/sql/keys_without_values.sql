-- The keys of which no call has a value: key_number.
select key_number
from key_values
group by key_number
having count(value) = 0
