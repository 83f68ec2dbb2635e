-- Counted calls of the Vercel AI SDK that an inner span in another trace tells of too: call_row of the
-- outer one. Some exporters give `ai.embed` and its `ai.embed.doEmbed` a trace each, without a response
-- id: they name one function, carry equal tokens, and the inner lies within the outer.
-- Inputs: $function_id varchar, JSON path of the function's id; $tolerance bigint, ns.
with told as (
    select
        reported.call_row,
        reported.trace_id,
        reported.input_tokens,
        reported.output_tokens,
        reported.start_time_unix_nano,
        reported.end_time_unix_nano,
        span.name,
        json_extract_string(span.attributes, $function_id) as function_id
    from memory.building.counted_calls as counted
    inner join memory.building.reported_calls as reported
        on counted.call_row = reported.call_row
    inner join spans as span
        on reported.span_row = span.rowid
    where starts_with(span.name, 'ai.') and not reported.is_gate
)
select outside.call_row
from told as outside
inner join told as inside
    on outside.function_id = inside.function_id
    and outside.input_tokens = inside.input_tokens
    and outside.output_tokens = inside.output_tokens
    and outside.trace_id <> inside.trace_id
    and starts_with(inside.name, outside.name || '.do')
    and inside.start_time_unix_nano >= outside.start_time_unix_nano - $tolerance
    and inside.end_time_unix_nano <= outside.end_time_unix_nano + $tolerance
qualify row_number() over (
    partition by inside.call_row
    order by outside.start_time_unix_nano desc, outside.trace_id
) = 1
