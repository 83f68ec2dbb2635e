-- One row: how often something is found in the traces that are asked about, what it amounts to, and the
-- 20 traces where it amounts to most. A template: its mark is the statement that finds it by trace, a
-- row being trace_id, count, amount_pusd.
with found (trace_id, found, amount_pusd) as materialized (
$statement
),
asked as (
    select *
    from found
    where trace_id in (select root.trace_id from trace_roots as root)
),
first_traces as (
    select *
    from asked
    order by amount_pusd desc nulls last, found desc, trace_id
    limit 20
)
select
    coalesce(sum(found), 0)::bigint as found,
    sum(amount_pusd) as amount_pusd,
    (
        select list(trace_id order by amount_pusd desc nulls last, found desc, trace_id)
        from first_traces
    ) as trace_ids
from asked
