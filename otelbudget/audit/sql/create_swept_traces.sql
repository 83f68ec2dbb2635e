-- The traces to sweep over: trace_id, run_id, is_good (null where that is not known), and the start of
-- the trace's first span in unix ns where $is_timed. Inputs: $is_timed boolean; $path varchar, JSON
-- pointer to the attribute of the root span that says that a run was good, null where its status
-- says it; $values varchar[], the JSON texts of that attribute that say so. A template: $swept_traces.
create table $swept_traces as
with called as (
    select distinct trace_id
    from model_calls
    where has_usage and start_time_unix_nano is not null
),
starts as (
    select
        trace_id,
        min(start_time_unix_nano) as start_time_unix_nano
    from span_once
    where $is_timed
    group by trace_id
)
select
    called.trace_id,
    (row_number() over ())::integer as run_id,
    case
        when not (root.has_root and root.root_ended) then null
        when $path::varchar is null then root.root_status_code <> 2
        else coalesce(
            list_contains($values::varchar[], json_extract(span.attributes, $path)::varchar), false
        )
    end as is_good,
    starts.start_time_unix_nano
from called
left join trace_roots as root
    on called.trace_id = root.trace_id
left join spans as span
    on $path::varchar is not null and root.root_row = span.rowid
left join starts
    on called.trace_id = starts.trace_id
