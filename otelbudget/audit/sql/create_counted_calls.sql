-- The reported calls whose usage is the innermost: no span below repeats it, and the gate they were
-- made in does not tell of them itself. Several rows may still tell of one call. Row: as
-- reported_calls, then scope_name and source: what tells of the call, '' for a gate.
create or replace table counted_calls as
select
    reported.*,
    span.scope_name,
    case
        when reported.is_gate then ''
        else span.scope_name || ' ' || span.name
    end as source
from reported_calls as reported
inner join span_once as span
    on reported.trace_id = span.trace_id and reported.span_id = span.span_id
where reported.has_usage
    and (
        reported.is_gate
        or (
            not exists (
                select 1
                from usage_path as path
                where path.trace_id = reported.trace_id and path.span_id = reported.span_id
            )
            and not exists (
                select 1
                from reported_calls as gate
                where gate.is_gate and gate.has_usage and gate.call_id = reported.call_id
            )
        )
    )
