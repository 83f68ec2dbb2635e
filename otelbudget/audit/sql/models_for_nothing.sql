-- The providers and models that were asked for and cost nothing: provider, model; none is ''.
select distinct
    coalesce(provider, '') as provider,
    coalesce(request_model, '') as model
from model_calls
where has_usage and coalesce(list_cost_pusd, 0) = 0
