-- Calls that read nothing from the provider's cache although what they begin with repeats, by trace:
-- trace_id, count, and what reading it from the cache would have saved.
select
    lost.trace_id,
    count(*) as found,
    sum(lost.tokens * rate.cache_saves_pusd) as amount_pusd
from lost_caches as lost
left join cheaper_rates as rate
    on lost.model = rate.model
        and lost.provider is not distinct from rate.provider
        and lost.service_tier is not distinct from rate.service_tier
group by lost.trace_id
