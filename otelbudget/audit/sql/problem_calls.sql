-- Calls that a bill may miss, by kind and trace: kind, trace_id, calls.
-- kind: without_usage, failed, unpriced, reported_differs.
select
    kind,
    trace_id,
    count(*) as calls
from (
    select
        trace_id,
        case
            when not has_usage and is_error then 'failed'
            when not has_usage then 'without_usage'
            when list_cost_pusd is null then 'unpriced'
            when try_cast(reported_cost_usd as decimal(24, 12)) > 0
                and abs(
                    try_cast(reported_cost_usd as decimal(24, 12)) * 1000000000000
                    - list_cost_pusd
                ) * 100 > list_cost_pusd
                then 'reported_differs'
        end as kind
    from model_calls
)
where kind is not null
group by kind, trace_id
order by kind, calls desc, trace_id
