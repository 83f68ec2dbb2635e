-- The rates by which each regular span that tells of usage is priced, with its cost: a view.
-- is_plain: the cost follows from these rates alone.
create or replace view memory.building.priced_spans as
select
    span.*,
    rate.confidence,
    rate.request
    + span.output * rate.output
    + greatest(span.input - span.cache_read - span.cache_write, 0) * rate.input
    + span.cache_read * rate.cache_read
    + (span.cache_write - least(span.cache_write_1h, span.cache_write)) * rate.cache_write
    + least(span.cache_write_1h, span.cache_write) * rate.cache_write_1h as list_cost_pusd,
    rate.confidence is null
    or (
        span.input <= rate.max_input_tokens
        and not (rate.has_special and span.reasoning > 0)
    ) as is_plain
from memory.building.read_spans as span
left join memory.building.rates as rate
    on span.has_usage
    and coalesce(span.provider, '') = rate.provider
    and coalesce(span.response_model, span.request_model, '') = rate.model
    and coalesce(span.service_tier, '') = rate.service_tier
    and span.priced_at >= rate.from_ns
    and span.priced_at < rate.until_ns
where span.is_call
