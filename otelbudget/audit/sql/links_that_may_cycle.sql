-- The links of spans that no root leads to, as those in a cycle of parents and below one: trace_id,
-- span_row, parent_row, start_time_unix_nano, span_id. Ordered by trace.
with recursive reached as (
    select span_row
    from span_links
    where parent_row is null
    union all
    select link.span_row
    from reached
    inner join span_links as link
        on reached.span_row = link.parent_row
)
select
    span.trace_id,
    link.span_row,
    link.parent_row,
    span.start_time_unix_nano,
    span.span_id
from span_links as link
inner join spans as span
    on link.span_row = span.rowid
where link.parent_row is not null
    and not exists (select 1 from reached where reached.span_row = link.span_row)
order by span.trace_id
