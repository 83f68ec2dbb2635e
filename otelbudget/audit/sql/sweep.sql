-- What each of many limits would have done. Input: $limits hugeint[].
-- One row per limit, ascending: limit, scopes_reached, scopes_stopped, calls_denied, avoided_pusd,
-- good_stopped (runs).
with limits as (
    select unnest($limits::hugeint[]) as max_usage
),
scopes as (
    select
        scope_id,
        sum(amount)::hugeint as total,
        (max(known_before) filter (where not is_spared))::hugeint as highest
    from known_before
    group by scope_id
),
good_runs as (
    select (max(known_before) filter (where not is_spared))::hugeint as highest
    from known_before
    where good_run_id is not null
    group by good_run_id
),
denied as (
    select
        limits.max_usage,
        count(*) as calls,
        coalesce(sum(known.list_cost_pusd), 0) as avoided_pusd
    from known_before as known
    asof inner join limits
        on known.known_before >= limits.max_usage
    where not known.is_spared
    group by limits.max_usage
),
reached as (
    select
        limits.max_usage,
        count(*) as scopes
    from scopes
    asof inner join limits
        on scopes.total >= limits.max_usage
    group by limits.max_usage
),
stopped as (
    select
        limits.max_usage,
        count(*) as scopes
    from scopes
    asof inner join limits
        on scopes.highest >= limits.max_usage
    group by limits.max_usage
),
lost as (
    select
        limits.max_usage,
        count(*) as runs
    from good_runs
    asof inner join limits
        on good_runs.highest >= limits.max_usage
    group by limits.max_usage
)
select
    limits.max_usage,
    sum(coalesce(reached.scopes, 0)) over above as scopes_reached,
    sum(coalesce(stopped.scopes, 0)) over above as scopes_stopped,
    sum(coalesce(denied.calls, 0)) over above as calls_denied,
    sum(coalesce(denied.avoided_pusd, 0)) over above as avoided_pusd,
    sum(coalesce(lost.runs, 0)) over above as good_stopped
from limits
left join reached using (max_usage)
left join stopped using (max_usage)
left join denied using (max_usage)
left join lost using (max_usage)
window above as (
    order by limits.max_usage desc
    rows between unbounded preceding and current row
)
order by limits.max_usage
