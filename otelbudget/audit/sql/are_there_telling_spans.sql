-- Whether a span tells where its calls belong: one row, one boolean.
select count(*) > 0 as has_told
from telling_spans
