-- What spans tell of usage that calls below them tell of too: call_row, span_row, trace_id,
-- input_tokens, output_tokens, list_cost_pusd: a view.
create or replace temporary view repeated_usage as
select
    call_row,
    span_row,
    trace_id,
    input_tokens,
    output_tokens,
    list_cost_pusd
from uncounted_calls
where has_usage and not is_twin
