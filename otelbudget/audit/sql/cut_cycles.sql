-- Makes the earliest span of a cycle of parents a root. Otherwise each span of the cycle would lie
-- above the others and repeat their usage, and none of it would count.
update span_links
set parent_row = null
where span_row in (select span_row from cycle_tops)
