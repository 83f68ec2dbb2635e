-- One row per (trace_id, span_id): the columns of spans, and its place among them as span_row.
create or replace view span_once as
select
    *,
    rowid as span_row
from spans
where rowid not in (select span_row from repeated_deliveries)
