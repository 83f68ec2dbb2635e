-- The spans whose place is asked for: span_row. Input: $is_timed boolean: whether the first span of
-- each trace is among them.
create or replace table placed_spans as
select span_row
from model_calls
union
select span_row
from telling_spans
union
select span_row
from marked_spans
union
select arg_min(span_row, struct_pack(start_ns := start_time_unix_nano, span_id := span_id)) as span_row
from span_once
where $is_timed and start_time_unix_nano is not null
group by trace_id
