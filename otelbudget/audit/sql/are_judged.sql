-- Whether any of the traces to sweep over can be judged: one row, one boolean. A template:
-- $swept_traces.
select coalesce(bool_or(is_good is not null), false) as are_judged
from $swept_traces
