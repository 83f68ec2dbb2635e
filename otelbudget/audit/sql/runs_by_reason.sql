-- How many runs of each workflow tell what a run needs, and how many do not and why: key varchar[],
-- reason (null for those that tell), count, how many of them a budget could have stopped, and the ids
-- of the first thousand that do not tell. Ordered by key, reason.
with ranked as (
    select
        key,
        reason,
        trace_id,
        is_limited,
        row_number() over (partition by key, reason order by start_time_unix_nano, trace_id) as place
    from runs_of_workflows
)
select
    key,
    reason,
    count(*) as runs,
    count(*) filter (where is_limited) as limited,
    coalesce(
        list(trace_id order by place) filter (where reason is not null and place <= 1000), []
    ) as trace_ids
from ranked
group by key, reason
order by key, reason
