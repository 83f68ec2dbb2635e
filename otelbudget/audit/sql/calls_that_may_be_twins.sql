-- Counted calls that may tell of one call: those that share a response id, and, in traces with a
-- gate's event, those without one. Row: the fields of otelbudget.audit.twins.Told, in order.
select
    rowid,
    response_id,
    trace_id,
    span_id,
    call_id,
    is_gate,
    scope_name,
    source,
    response_model,
    input_tokens,
    output_tokens,
    (cache_read_input_tokens > 0)::int + (cache_write_input_tokens > 0)::int,
    start_time_unix_nano,
    end_time_unix_nano
from counted_calls
where response_id in (
    select response_id
    from counted_calls
    group by response_id
    having count(*) > 1
)
    or trace_id in (
        select trace_id
        from counted_calls
        where is_gate
    )
