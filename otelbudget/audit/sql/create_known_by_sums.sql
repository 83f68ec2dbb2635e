-- P of every call for money and tokens: what the scope's other calls that had ended by its start add
-- up to, at most 2^63 - 1, which is above every limit. One row per call: scope_id, good_run_id,
-- known_before, amount, list_cost_pusd, is_spared. A template: $known_before.
create table $known_before as
select
    scope_id,
    good_run_id,
    least(
        coalesce(
            sum(amount) over (
                partition by scope_id
                order by end_time_unix_nano
                range between unbounded preceding
                    and (end_time_unix_nano - start_time_unix_nano) preceding
            ),
            0
        ),
        9223372036854775807
    )::bigint as known_before,
    amount,
    list_cost_pusd,
    is_spared
from replay_calls
