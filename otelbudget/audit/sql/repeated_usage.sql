-- Spans whose usage was not added because it repeats what is below them or what a twin tells:
-- trace_id, spans.
select
    reported.trace_id,
    count(*) as spans
from reported_calls as reported
where reported.has_usage
    and not exists (
        select 1
        from counted_calls as counted
        where counted.trace_id = reported.trace_id
            and counted.span_id = reported.span_id
            and counted.is_gate = reported.is_gate
            and counted.call_id is not distinct from reported.call_id
    )
group by reported.trace_id
order by spans desc, reported.trace_id
