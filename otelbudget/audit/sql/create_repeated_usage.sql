-- What spans tell of usage that calls below them tell of too: call_row, span_row, trace_id,
-- input_tokens, output_tokens, list_cost_pusd.
create or replace temporary table repeated_usage as
select
    reported.call_row,
    reported.span_row,
    reported.trace_id,
    reported.input_tokens,
    reported.output_tokens,
    cost.list_cost_pusd
from reported_calls as reported
left join reported_costs as cost
    on reported.call_row = cost.call_row
where reported.has_usage
    and reported.call_row not in (select counted.call_row from counted_calls as counted)
    and reported.call_row not in (select twin.call_row from twin_rows as twin)
