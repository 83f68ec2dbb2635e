-- One row per (trace_id, span_id): of several deliveries the more complete one, ended before open,
-- then more attributes, then the first.
create or replace table span_once as
select * exclude (delivery)
from (
    select
        *,
        row_number() over (
            partition by trace_id, span_id
            order by end_time_unix_nano is null, length(attributes) desc, rowid
        ) as delivery
    from spans
)
where delivery = 1
