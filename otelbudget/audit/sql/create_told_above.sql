-- For each placed span the nearest span above it that tells where calls belong: span_row, above_row.
create or replace table told_above as
with recursive climb as (
    select
        link.span_row,
        link.parent_row as above_row,
        0 as depth
    from placed_spans as placed
    inner join span_links as link
        on placed.span_row = link.span_row
    where link.parent_row is not null
    union all
    select
        climb.span_row,
        link.parent_row as above_row,
        climb.depth + 1 as depth
    from climb
    inner join span_links as link
        on climb.above_row = link.span_row
    where link.parent_row is not null
        and climb.depth < 256
        and climb.above_row not in (select telling.span_row from telling_spans as telling)
)
select
    span_row,
    above_row
from climb
where above_row in (select telling.span_row from telling_spans as telling)
