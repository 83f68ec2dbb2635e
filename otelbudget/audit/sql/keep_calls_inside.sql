-- The calls that start in a period. Inputs: $since bigint, $until bigint (unix ns).
create or replace table kept_calls as
select call_row
from model_calls
where start_time_unix_nano >= $since and start_time_unix_nano < $until
