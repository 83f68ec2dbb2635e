-- Every span above a model call that something below it tells of, so that it tells of it again:
-- span_row and has_usage, whether usage is told below; both may hold.
create or replace table memory.building.told_below as
with recursive above as (
    select
        case
            when reported.is_gate or (reported.is_borrowed and reported.has_usage)
                then reported.span_row
            else link.parent_row
        end as span_row,
        reported.has_usage
    from memory.building.reported_calls as reported
    inner join span_links as link
        on reported.span_row = link.span_row
    where (reported.has_usage or reported.is_model_operation) and not reported.is_platform
    union
    select
        link.parent_row as span_row,
        above.has_usage
    from above
    inner join span_links as link
        on above.span_row = link.span_row
)
select
    span_row,
    has_usage
from above
where span_row is not null
