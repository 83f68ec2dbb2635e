-- The reported calls that count: innermost usage only, each call once however many spans tell of it.
-- A gate's own event counts first. A span is its twin when it started inside that gate (same
-- call_id), or has its response id at the same time, or, without a response id, the same tokens at
-- the same time in the same trace, at most one span per scope, the one that ends nearest.
-- Some servers give every response one id. So calls of one id are several where they do not overlap
-- in time, where one source (scope and span name) tells of different tokens, and where one span id
-- is in several traces: a copied trace. Row: as reported_calls, then scope_name.
create or replace table counted_calls as
with innermost as (
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
        order by
            abs(span.end_time_unix_nano - gate.end_time_unix_nano),
            span.start_time_unix_nano,
            span.span_id
    ) = 1
),
told as (
    select
        *,
        coalesce(response_id, trace_id || span_id || coalesce(call_id, '')) as told_id
    from outside_gates
    where (trace_id, span_id) not in (select (trace_id, span_id) from twins_by_usage)
        or is_gate
),
parted as (
    select
        *,
        start_time_unix_nano > max(greatest(end_time_unix_nano, start_time_unix_nano)) over (
            partition by told_id
            order by start_time_unix_nano, trace_id, span_id, call_id
            rows between unbounded preceding and 1 preceding
        ) as is_later,
        row_number() over (
            partition by told_id, span_id, call_id
            order by trace_id
        ) as copy
    from told
),
grouped as (
    select
        *,
        sum(coalesce(is_later, false)::int) over (
            partition by told_id
            order by start_time_unix_nano, trace_id, span_id, call_id
            rows between unbounded preceding and current row
        ) as period
    from parted
),
ranked as (
    select
        *,
        first_value(source) over (partition by told_id, period order by preference) as first_source,
        row_number() over (
            partition by told_id, period, source, input_tokens, output_tokens, copy
            order by preference
        ) as rank
    from (
        select
            *,
            row_number() over (
                order by
                    is_gate desc,
                    (cache_read_input_tokens > 0)::int + (cache_write_input_tokens > 0)::int desc,
                    start_time_unix_nano desc,
                    trace_id,
                    span_id,
                    call_id
            ) as preference
        from grouped
    )
)
select * exclude (source, told_id, is_later, copy, period, preference, first_source, rank)
from ranked
where rank = 1 and source = first_source
