-- P of every call for seconds, in ns: its start since that of the scope's first span, which stands as
-- its end. amount: the time since the call before it, so that a scope's amounts add up to its time. One
-- row per call: scope_id, good_run_id, known_before, amount, list_cost_pusd, is_spared.
-- A template: $known_before.
create table $known_before as
select
    scope_id,
    good_run_id,
    start_time_unix_nano - end_time_unix_nano as known_before,
    start_time_unix_nano - lag(start_time_unix_nano, 1, end_time_unix_nano) over (
        partition by scope_id
        order by start_time_unix_nano
    ) as amount,
    list_cost_pusd,
    is_spared
from replay_calls
