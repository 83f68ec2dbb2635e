-- The models that spans tell of: provider, model, service_tier; '' where not named.
select distinct
    coalesce(provider, '') as provider,
    coalesce(response_model, request_model, '') as model,
    coalesce(service_tier, '') as service_tier
from memory.building.read_spans
where is_call and has_usage
