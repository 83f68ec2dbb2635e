-- The model calls under parents where one may have been made again: those with two calls of equal
-- input tokens, or with a failed one. call_row, span_row, trace_id, parent_row (the span that the call hangs
-- below), asked_model, operation, input_tokens, output_tokens, list_cost_pusd, is_error, is_told (a
-- gate's event tells of it), starts_at and ends_at in unix ns.
create or replace temporary table sibling_calls as
with calls as (
    select
        call.call_row,
        call.span_row,
        call.trace_id,
        case when call.told is null then call.parent_row else call.span_row end as parent_row,
        coalesce(call.request_model, call.model, '') as asked_model,
        call.operation,
        call.input_tokens,
        call.output_tokens,
        call.list_cost_pusd,
        call.has_usage,
        call.is_error,
        call.told is not null as is_told,
        call.start_time_unix_nano as starts_at,
        call.end_time_unix_nano as ends_at
    from model_calls as call
    where call.start_time_unix_nano is not null
        and (call.has_usage or call.is_error)
),
suspects as (
    select parent_row
    from calls
    where not is_error
    group by
        parent_row,
        input_tokens
    having count(*) > 1
    union
    select parent_row
    from calls
    where is_error
)
select *
from calls
where parent_row in (select suspect.parent_row from suspects as suspect)
