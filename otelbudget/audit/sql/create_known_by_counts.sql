-- P of every call for counts: how many of the scope's calls started before it. One row per call:
-- trace_id, known_before, amount, list_cost_pusd.
create or replace table known_before as
select
    trace_id,
    (
        row_number() over (
            partition by trace_id
            order by start_time_unix_nano, trace_id, span_id
        ) - 1
    )::hugeint as known_before,
    amount,
    list_cost_pusd
from replay_calls
