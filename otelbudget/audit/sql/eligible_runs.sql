-- Runs that tell what a run needs: key varchar[], trace_id, then what each needed: pico-USD, calls,
-- tokens, ns, calls of tools. Of a workflow with more than $most (bigint) runs so many, evenly over
-- time. Ordered by key, start, trace_id.
with placed as (
    select
        *,
        row_number() over (partition by key order by start_time_unix_nano, trace_id) as place,
        count(*) over (partition by key) as runs
    from runs_of_workflows
    where reason is null
)
select
    key,
    trace_id,
    list_cost_pusd,
    calls,
    tokens,
    elapsed_ns,
    tool_calls
from placed
where runs <= $most or (place * $most) // runs > ((place - 1) * $most) // runs
order by key, start_time_unix_nano, trace_id
