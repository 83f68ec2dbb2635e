-- Calls of a dear model that gave a tiny answer, by trace: trace_id, count, and what they cost more than
-- the same tokens of the provider's smaller model. Input: $tiny_tokens bigint, the most output tokens.
select
    call.trace_id,
    count(*) as found,
    sum(
        call.list_cost_pusd
        - (call.input_tokens - call.cache_read_input_tokens) * rate.small_input_pusd
        - call.cache_read_input_tokens * rate.small_cache_read_pusd
        - call.output_tokens * rate.small_output_pusd
    ) as amount_pusd
from model_calls as call
inner join cheaper_rates as rate
    on call.model = rate.model
        and call.provider is not distinct from rate.provider
        and call.service_tier is not distinct from rate.service_tier
where call.has_usage
    and not call.is_error
    and call.output_tokens between 1 and $tiny_tokens
    and call.reasoning_output_tokens = 0
    and rate.small_input_pusd is not null
    and call.list_cost_pusd
    > (call.input_tokens - call.cache_read_input_tokens) * rate.small_input_pusd
    + call.cache_read_input_tokens * rate.small_cache_read_pusd
    + call.output_tokens * rate.small_output_pusd
group by call.trace_id
