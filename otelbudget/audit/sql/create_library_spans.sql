-- Spans that the library itself must read: span_row, whether for what the span tells and whether for
-- what gates wrote on it.
create or replace table memory.building.library_spans as
select
    span_row,
    not is_regular as reads_span,
    has_gate_events as reads_events
from memory.building.read_spans
where not is_regular or has_gate_events
union all
select
    span_row,
    true as reads_span,
    false as reads_events
from memory.building.priced_spans
where not is_plain
