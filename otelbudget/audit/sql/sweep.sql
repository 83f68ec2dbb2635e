-- What each of many limits would have done. Input: $limits hugeint[].
-- One row per limit, ascending: limit, scopes_reached, scopes_stopped, calls_denied, avoided_pusd,
-- good_stopped.
with limits as (
    select unnest($limits::hugeint[]) as max_usage
),
scopes as (
    select
        known.trace_id,
        sum(known.amount)::hugeint as total,
        max(known.known_before)::hugeint as highest,
        coalesce(bool_or(root.has_root and root.root_ended and root.root_status_code <> 2), false)
            as is_good
    from known_before as known
    left join trace_roots as root
        on known.trace_id = root.trace_id
    group by known.trace_id
),
denied as (
    select
        limits.max_usage,
        count(*) as calls,
        coalesce(sum(known.list_cost_pusd), 0) as avoided_pusd
    from known_before as known
    asof inner join limits
        on known.known_before >= limits.max_usage
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
        count(*) as scopes,
        count(*) filter (where scopes.is_good) as good
    from scopes
    asof inner join limits
        on scopes.highest >= limits.max_usage
    group by limits.max_usage
)
select
    limits.max_usage,
    sum(coalesce(reached.scopes, 0)) over above as scopes_reached,
    sum(coalesce(stopped.scopes, 0)) over above as scopes_stopped,
    sum(coalesce(denied.calls, 0)) over above as calls_denied,
    sum(coalesce(denied.avoided_pusd, 0)) over above as avoided_pusd,
    sum(coalesce(stopped.good, 0)) over above as good_stopped
from limits
left join reached using (max_usage)
left join stopped using (max_usage)
left join denied using (max_usage)
window above as (
    order by limits.max_usage desc
    rows between unbounded preceding and current row
)
order by limits.max_usage
