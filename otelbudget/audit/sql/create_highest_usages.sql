-- What scopes used in all, and the most that was known before a call of each scope and of each good
-- run: one row per scope ("reached", "stopped") and per good run ("lost"): what, usage.
-- A template: $known_before, $highest_usages.
create table $highest_usages as
with scopes as (
    select
        scope_id,
        least(sum(amount), 9223372036854775807)::bigint as total,
        max(known_before) filter (where not is_spared) as highest
    from $known_before
    group by scope_id
),
good_runs as (
    select max(known_before) filter (where not is_spared) as highest
    from $known_before
    where good_run_id is not null
    group by good_run_id
)
select
    'reached' as what,
    total as usage
from scopes
union all
select
    'stopped' as what,
    highest as usage
from scopes
where highest is not null
union all
select
    'lost' as what,
    highest as usage
from good_runs
where highest is not null
