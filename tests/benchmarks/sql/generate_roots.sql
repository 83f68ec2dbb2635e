-- The roots of the traces of generated calls: all have ended well.
create or replace table trace_roots as
select
    trace_id,
    0::bigint as root_row,
    1::tinyint as root_status_code,
    true as root_ended,
    true as has_root
from model_calls
group by trace_id
