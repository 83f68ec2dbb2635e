-- The model calls as they would have been: the columns of model_calls.
create or replace table supposed_calls as
select
    call.* replace (
        case when other.call_row is null then call.provider else other.provider end as provider,
        case when other.call_row is null then call.model else other.model end as model,
        case when other.call_row is null then call.request_model else other.request_model end
        as request_model,
        coalesce(other.cache_read_input_tokens, call.cache_read_input_tokens)
        as cache_read_input_tokens,
        case when other.call_row is null then call.list_cost_pusd else other.list_cost_pusd end
        as list_cost_pusd,
        case when other.call_row is null then call.confidence else other.confidence end
        as confidence
    )
from model_calls as call
left join repriced_calls as other
    on call.call_row = other.call_row
