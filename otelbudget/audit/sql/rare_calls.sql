-- One row: whether the provider's platform tells of any call, and whether a library told of one on its
-- caller's span.
select
    coalesce(bool_or(is_platform and has_usage), false) as has_platform,
    coalesce(bool_or(is_borrowed and has_usage), false) as has_borrowed
from reported_calls
