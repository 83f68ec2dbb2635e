-- The reported calls whose usage is the innermost: no span below repeats it, and the gate they were
-- made in does not tell of them itself. Several may still tell of one call. Row: call_row of
-- reported_calls.
create or replace table memory.building.counted_calls as
with told_by_gates as (
    select call_id
    from memory.building.reported_calls
    where is_gate and has_usage and call_id is not null
)
select reported.call_row as call_row
from memory.building.reported_calls as reported
where reported.has_usage
    and not reported.is_platform
    and (
        reported.is_gate
        or reported.is_borrowed
        or not exists (
            select 1
            from memory.building.told_below as below
            where below.span_row = reported.span_row and below.has_usage
        )
    )
    and (
        reported.is_gate
        or not exists (select 1 from told_by_gates as gate where gate.call_id = reported.call_id)
    )
