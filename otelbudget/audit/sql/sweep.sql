-- What each of many limits would have done: usages in buckets above the limit's own are above it, those
-- in its own are compared with it. Input: $limits bigint[]. A template: $known_before, $highest_usages,
-- $usage_buckets. One row per limit, ascending: limit, scopes_reached, scopes_stopped, calls_denied,
-- avoided_pusd, good_stopped (runs).
with limits as (
    select unnest($limits::bigint[]) as max_usage
),
placed as (
    select
        max_usage,
        -- Two buckets where the logarithm is next to a whole number.
        floor(log2(max_usage + 1.0::double) * 4096 - 0.001)::integer as low,
        floor(log2(max_usage + 1.0::double) * 4096 + 0.001)::integer as top
    from limits
),
near as (
    select
        max_usage,
        low as bucket
    from placed
    union
    select
        max_usage,
        top as bucket
    from placed
),
near_calls as (
    select
        near.max_usage,
        count(*) as calls_denied,
        coalesce(sum(known.list_cost_pusd), 0) as avoided_pusd
    from $known_before as known
    inner join near
        on floor(log2(known.known_before + 1.0::double) * 4096)::integer = near.bucket
    where known.known_before >= near.max_usage and not known.is_spared
    group by near.max_usage
),
near_scopes as (
    select
        near.max_usage,
        count(*) filter (where highest.what = 'reached') as scopes_reached,
        count(*) filter (where highest.what = 'stopped') as scopes_stopped,
        count(*) filter (where highest.what = 'lost') as good_stopped
    from $highest_usages as highest
    inner join near
        on floor(log2(highest.usage + 1.0::double) * 4096)::integer = near.bucket
    where highest.usage >= near.max_usage
    group by near.max_usage
),
tops as (
    select distinct top
    from placed
),
between_tops as (
    select
        tops.top,
        buckets.what,
        buckets.usages,
        buckets.avoided_pusd
    from $usage_buckets as buckets
    asof inner join tops
        on buckets.bucket > tops.top
),
sums as (
    select
        tops.top,
        coalesce(sum(usages) filter (where what = 'reached'), 0) as scopes_reached,
        coalesce(sum(usages) filter (where what = 'stopped'), 0) as scopes_stopped,
        coalesce(sum(usages) filter (where what = 'denied'), 0) as calls_denied,
        coalesce(sum(avoided_pusd), 0) as avoided_pusd,
        coalesce(sum(usages) filter (where what = 'lost'), 0) as good_stopped
    from tops
    left join between_tops
        on tops.top = between_tops.top
    group by tops.top
),
above as (
    select
        top,
        sum(scopes_reached) over higher as scopes_reached,
        sum(scopes_stopped) over higher as scopes_stopped,
        sum(calls_denied) over higher as calls_denied,
        sum(avoided_pusd) over higher as avoided_pusd,
        sum(good_stopped) over higher as good_stopped
    from sums
    window higher as (
        order by top desc
        rows between unbounded preceding and current row
    )
)
select
    placed.max_usage,
    above.scopes_reached + coalesce(near_scopes.scopes_reached, 0) as scopes_reached,
    above.scopes_stopped + coalesce(near_scopes.scopes_stopped, 0) as scopes_stopped,
    above.calls_denied + coalesce(near_calls.calls_denied, 0) as calls_denied,
    above.avoided_pusd + coalesce(near_calls.avoided_pusd, 0) as avoided_pusd,
    above.good_stopped + coalesce(near_scopes.good_stopped, 0) as good_stopped
from placed
inner join above
    on placed.top = above.top
left join near_calls
    on placed.max_usage = near_calls.max_usage
left join near_scopes
    on placed.max_usage = near_scopes.max_usage
order by placed.max_usage
