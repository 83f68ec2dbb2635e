-- One row per trace: trace_id, tier (the first otelbudget.tier on its spans), root_name, root_row,
-- root_status_code, root_ended, has_root and the earliest start of a root. The root is the span
-- without a parent, else the earliest whose parent is missing.
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
),
roots as (
    select
        span.trace_id,
        link.span_row,
        link.is_orphan,
        span.name,
        span.status_code,
        span.start_time_unix_nano,
        span.end_time_unix_nano is not null as has_ended,
        struct_pack(
            is_orphan := link.is_orphan,
            start_ns := coalesce(span.start_time_unix_nano, 9223372036854775807),
            span_id := span.span_id
        ) as sort_key
    from span_links as link
    inner join spans as span
        on link.span_row = span.rowid
    where link.parent_row is null
),
best as (
    select
        trace_id,
        arg_min(
            struct_pack(
                span_row := span_row,
                is_orphan := is_orphan,
                name := name,
                status_code := status_code,
                has_ended := has_ended
            ),
            sort_key
        ) as root,
        min(start_time_unix_nano) as start_time_unix_nano
    from roots
    group by trace_id
)
select
    best.trace_id,
    tiers.tier,
    best.root.name as root_name,
    best.root.span_row as root_row,
    best.root.status_code as root_status_code,
    best.root.has_ended as root_ended,
    not best.root.is_orphan as has_root,
    best.start_time_unix_nano
from best
left join tiers
    on best.trace_id = tiers.trace_id
