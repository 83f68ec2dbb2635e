-- One row: whether the provider's platform tells of any call, whether a library told of one on its
-- caller's span, and whether any tells no response id.
select
    coalesce(bool_or(is_platform and has_usage), false) as has_platform,
    coalesce(bool_or(is_borrowed and has_usage), false) as has_borrowed,
    coalesce(bool_or(has_usage and response_id is null), false) as any_without_id
from memory.building.reported_calls
