-- Calls of tools by trace: trace_id, tool_calls. A span counts unless it is below one of the same tool;
-- so does an event that tells of a call without a span.
-- Inputs: $operations varchar[], operations of tools in double quotes; $tools varchar[], the same
-- without; $operation_paths and $name_paths varchar[], JSON pointers to what may tell the operation
-- and the name, the surest first.
create or replace table run_tools as
with marked as (
    select
        span_row,
        trace_id,
        list_filter(
            json_extract_string(attributes, $operation_paths::varchar[]), lambda told: told is not null
        )[1] as operation,
        coalesce(
            list_filter(
                json_extract_string(attributes, $name_paths::varchar[]), lambda told: told <> ''
            )[1],
            ''
        ) as tool
    from span_once
    where len(list_filter($operations::varchar[], lambda name: contains(attributes, name))) > 0
),
tools as (
    select
        marked.*,
        link.parent_row
    from marked
    inner join span_links as link
        on marked.span_row = link.span_row
    where list_contains($tools::varchar[], marked.operation)
),
told as (
    select tools.trace_id
    from tools
    left join tools as above
        on tools.parent_row = above.span_row
    where above.span_row is null or tools.tool = '' or above.tool <> tools.tool
    union all
    select span.trace_id
    from (
        select
            trace_id,
            unnest(json_extract_string(events, '$[*].name')) as name
        from span_once
        where contains(events, '"otelbudget.tool"')
    ) as span
    where span.name = 'otelbudget.tool'
)
select
    trace_id,
    count(*) as tool_calls
from told
group by trace_id
