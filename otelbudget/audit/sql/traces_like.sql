-- Traces by a part of their id: trace_id, is_prefix (the id begins with it), the ones that do first,
-- then the nearest. Input: $trace_id varchar.
select
    trace_id,
    starts_with(trace_id, $trace_id) as is_prefix
from (
    select distinct trace_id
    from span_once
)
order by
    is_prefix desc,
    levenshtein(substr(trace_id, 1, greatest(length($trace_id), 4)), $trace_id),
    trace_id
limit 5
