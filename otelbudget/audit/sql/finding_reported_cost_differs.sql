-- Model calls that report a cost of their own which differs by more than 1 % from the list price, by
-- trace: trace_id, count, and by how much in all.
with compared as (
    select
        trace_id,
        list_cost_pusd,
        abs(try_cast(reported_cost_usd as decimal(24, 12)) * 1000000000000 - list_cost_pusd)::hugeint
            as difference_pusd
    from model_calls
    where has_usage and try_cast(reported_cost_usd as decimal(24, 12)) is not null
)
select
    trace_id,
    count(*) as calls,
    sum(difference_pusd) as amount_pusd
from compared
where difference_pusd * 100 > list_cost_pusd
group by trace_id
