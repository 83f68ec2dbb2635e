-- What each reported call costs by itself, whether it counts or repeats another: a view.
create or replace view memory.building.reported_costs as
select
    span_row as call_row,
    list_cost_pusd
from memory.building.priced_spans
union all
select
    call_row,
    list_cost_pusd
from library_calls
