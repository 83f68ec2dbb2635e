-- Cycles of parents that were cut, by trace: trace_id, cycles; most first.
select
    trace_id,
    count(*) as cycles
from cycle_tops
group by trace_id
order by cycles desc, trace_id
