-- One row per trace: trace_id, tier (the first otelbudget.tier on its spans), root_name, root_status_code, root_ended, root_span_id and the
-- earliest start. The root is the span without a parent, else the earliest whose parent is missing.
create or replace table trace_roots as
with tiers as (
    select
        trace_id,
        arg_min(
            json_extract_string(attributes, '$."otelbudget.tier"'),
            coalesce(start_time_unix_nano, 9223372036854775807)
        ) as tier
    from span_once
    where contains(attributes, '"otelbudget.tier"')
    group by trace_id
)
select
    span.trace_id,
    any_value(tiers.tier) as tier,
    arg_min(span.name, sort_key) as root_name,
    arg_min(span.span_id, sort_key) as root_span_id,
    arg_min(span.status_code, sort_key) as root_status_code,
    arg_min(span.end_time_unix_nano is not null, sort_key) as root_ended,
    arg_min(span.parent_span_id is null, sort_key) as has_root,
    min(span.start_time_unix_nano) as start_time_unix_nano
from (
    select
        child.*,
        struct_pack(
            is_orphan := child.parent_span_id is not null,
            start_ns := coalesce(child.start_time_unix_nano, 9223372036854775807),
            span_id := child.span_id
        ) as sort_key
    from span_once as child
    where not exists (
        select 1
        from span_once as parent
        where parent.trace_id = child.trace_id and parent.span_id = child.parent_span_id
    )
) as span
left join tiers
    on span.trace_id = tiers.trace_id
group by span.trace_id
