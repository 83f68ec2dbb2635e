-- Drops the calls that start outside a period. Inputs: $since bigint, $until bigint (unix ns).
delete from model_calls
where start_time_unix_nano is null
    or start_time_unix_nano < $since
    or start_time_unix_nano >= $until
