-- The reported calls that count: innermost usage only, each call once however many spans tell of it.
-- A gate's own event counts first. A span is its twin when it started inside that gate (same
-- call_id), or has its response id at the same time, or, without a response id, the same tokens at
-- the same time in the same trace, at most one span per scope.
create or replace table counted_calls as
with innermost as (
    select
        reported.*,
        span.scope_name
    from reported_calls as reported
    inner join span_once as span
        on reported.trace_id = span.trace_id and reported.span_id = span.span_id
    where reported.has_usage
        and (
            reported.is_gate
            or not exists (
                select 1
                from usage_path as path
                where path.trace_id = reported.trace_id and path.span_id = reported.span_id
            )
        )
),
outside_gates as (
    select *
    from innermost
    where is_gate
        or call_id is null
        or call_id not in (select gate.call_id from innermost as gate where gate.is_gate)
),
twins_by_usage as (
    select
        span.trace_id,
        span.span_id
    from outside_gates as span
    inner join outside_gates as gate
        on gate.is_gate
        and not span.is_gate
        and span.response_id is null
        and span.trace_id = gate.trace_id
        and span.input_tokens = gate.input_tokens
        and span.output_tokens = gate.output_tokens
        and gate.end_time_unix_nano between span.start_time_unix_nano - 5000000
            and span.end_time_unix_nano + 5000000
        and coalesce(span.response_model = gate.response_model, true)
    qualify row_number() over (
        partition by gate.call_id, span.scope_name
        order by span.start_time_unix_nano, span.span_id
    ) = 1
),
ranked as (
    select
        *,
        row_number() over same_response as rank,
        first_value(start_time_unix_nano) over same_response as first_start,
        first_value(end_time_unix_nano) over same_response as first_end
    from outside_gates
    where (trace_id, span_id) not in (select (trace_id, span_id) from twins_by_usage)
        or is_gate
    window same_response as (
        partition by coalesce(response_id, trace_id || span_id || coalesce(call_id, ''))
        order by
            is_gate desc,
            (cache_read_input_tokens > 0)::int + (cache_write_input_tokens > 0)::int desc,
            start_time_unix_nano desc,
            trace_id,
            span_id
    )
)
select * exclude (rank, first_start, first_end)
from ranked
where rank = 1
    or start_time_unix_nano > first_end
    or end_time_unix_nano < first_start
