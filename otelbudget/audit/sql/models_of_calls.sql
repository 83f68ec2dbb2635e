-- The models of the calls that are priced, and when each was last asked: provider, model, service_tier,
-- start in unix ns. Ordered by them.
select
    provider,
    model,
    service_tier,
    max(start_time_unix_nano) as start_time_unix_nano
from model_calls
where list_cost_pusd is not null
group by all
order by all
