-- Drops the traces whose first call starts outside a period. Inputs: $since bigint, $until bigint.
delete from model_calls
where trace_id not in (
    select trace_id
    from model_calls
    group by trace_id
    having min(start_time_unix_nano) >= $since and min(start_time_unix_nano) < $until
)
