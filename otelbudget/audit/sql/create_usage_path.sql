-- Every span that is above a reported usage, and so repeats it: one row per (trace_id, span_id).
create or replace table usage_path as
with recursive above as (
    select
        reported.trace_id,
        case when reported.is_gate then reported.span_id else span.parent_span_id end as span_id
    from reported_calls as reported
    inner join span_once as span
        on reported.trace_id = span.trace_id and reported.span_id = span.span_id
    where reported.has_usage
    union
    select
        above.trace_id,
        span.parent_span_id as span_id
    from above
    inner join span_once as span
        on above.trace_id = span.trace_id and above.span_id = span.span_id
)
select
    trace_id,
    span_id
from above
where span_id is not null
