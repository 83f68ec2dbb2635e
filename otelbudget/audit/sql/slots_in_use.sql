-- The quarters of an hour in which model calls start, since 1970: slot. Ordered by slot.
select distinct start_time_unix_nano // 900000000000 as slot
from model_calls
where start_time_unix_nano is not null
order by slot
