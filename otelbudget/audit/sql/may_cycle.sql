-- One row: whether any parent starts no earlier than its child, as one must in a cycle of parents.
select coalesce(bool_or(starts_late), false)
from span_links
