-- P of every call for counts: how many of the scope's calls started before it. One row per call:
-- scope_id, good_run_id, known_before, amount, list_cost_pusd, is_spared. A template: $known_before.
create table $known_before as
select
    scope_id,
    good_run_id,
    (
        row_number() over (
            partition by scope_id
            order by start_time_unix_nano, position
        ) - 1
    )::bigint as known_before,
    amount,
    list_cost_pusd,
    is_spared
from replay_calls
