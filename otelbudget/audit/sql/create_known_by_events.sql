-- The same as create_known_by_sums in the subset that other databases understand: ends and starts of
-- a scope in one order, ends first, with a running sum over the ends. A template: $known_before.
create table $known_before as
with calls as (
    select
        *,
        row_number() over (order by scope_id) as call_number
    from replay_calls
),
events as (
    select
        call_number,
        scope_id,
        end_time_unix_nano as at_ns,
        0 as phase,
        amount as more
    from calls
    union all
    select
        call_number,
        scope_id,
        start_time_unix_nano as at_ns,
        1 as phase,
        0 as more
    from calls
),
known as (
    select
        call_number,
        phase,
        sum(more) over (
            partition by scope_id
            order by at_ns, phase, call_number
            rows between unbounded preceding and current row
        ) as known_before
    from events
)
select
    calls.scope_id,
    calls.good_run_id,
    least(known.known_before, 9223372036854775807)::bigint as known_before,
    calls.amount,
    calls.list_cost_pusd,
    calls.is_spared
from calls
inner join known
    on calls.call_number = known.call_number and known.phase = 1
