-- Counted calls that may tell of one call: those that share a response id, and those of a
-- trace with equal tokens of which some tell no response id. A hash may bring a few more.
-- Input: $any_without_id boolean, whether any call tells no response id. Row: the fields of otelbudget.audit.twins.Told, in order.
with counted as (
    select *
    from memory.building.reported_calls
    where call_row in (select counted.call_row from memory.building.counted_calls as counted)
),
suspects as (
    select *
    from counted
    where hash(response_id) in (
        select hash(response_id)
        from counted
        where response_id is not null
        group by hash(response_id)
        having count(*) > 1
    )
        or ($any_without_id and (trace_id, input_tokens, output_tokens) in (
            select (trace_id, input_tokens, output_tokens)
            from counted
            where $any_without_id
            group by trace_id, input_tokens, output_tokens
            having count(*) > 1
                and bool_or(response_id is null)
                and bool_or(is_gate or response_id is not null)
        ))
)
select
    suspect.call_row,
    suspect.response_id,
    suspect.trace_id,
    suspect.span_id,
    suspect.call_id,
    suspect.is_gate,
    span.scope_name,
    case
        when suspect.is_gate then ''
        else span.scope_name || ' ' || span.name
    end as source,
    suspect.response_model,
    suspect.input_tokens,
    suspect.output_tokens,
    (suspect.cache_read_input_tokens > 0)::int + (suspect.cache_write_input_tokens > 0)::int
    + (suspect.cache_write_1h_input_tokens > 0)::int,
    suspect.start_time_unix_nano,
    suspect.end_time_unix_nano
from suspects as suspect
inner join spans as span
    on suspect.span_row = span.rowid
