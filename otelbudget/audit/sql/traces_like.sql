-- The first five traces whose id begins so, in order: trace_id. Input: $trace_id varchar.
select distinct trace_id
from span_once
where starts_with(trace_id, $trace_id)
order by trace_id
limit 5
