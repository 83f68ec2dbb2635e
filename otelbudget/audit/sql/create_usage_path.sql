-- Every span that is above a reported usage, and so repeats it: one row per span_row.
create or replace table usage_path as
with recursive above as (
    select case
        when reported.is_gate or reported.is_borrowed then reported.span_row
        else link.parent_row
    end as span_row
    from reported_calls as reported
    inner join span_links as link
        on reported.span_row = link.span_row
    where reported.has_usage and not reported.is_platform
    union
    select link.parent_row as span_row
    from above
    inner join span_links as link
        on above.span_row = link.span_row
)
select span_row
from above
where span_row is not null
