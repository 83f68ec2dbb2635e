-- Adds the model calls that report no usage anywhere on their path, one row per span.
insert into counted_calls by name
with recursive climb as (
    select
        reported.trace_id,
        reported.span_id as leaf_id,
        span.parent_span_id,
        0 as depth
    from (
        select
            trace_id,
            span_id
        from reported_calls
        where is_model_operation and not has_usage
        group by trace_id, span_id
    ) as reported
    inner join span_once as span
        on reported.trace_id = span.trace_id and reported.span_id = span.span_id
    where not exists (
        select 1
        from usage_path as path
        where path.trace_id = reported.trace_id and path.span_id = reported.span_id
    )
        and not exists (
            select 1
            from reported_calls as other
            where other.trace_id = reported.trace_id
                and other.span_id = reported.span_id
                and other.has_usage
        )
    union all
    select
        climb.trace_id,
        climb.leaf_id,
        span.parent_span_id,
        climb.depth + 1 as depth
    from climb
    inner join span_once as span
        on climb.trace_id = span.trace_id and climb.parent_span_id = span.span_id
    where climb.depth < 256
),
explained as (
    select distinct
        climb.trace_id,
        climb.leaf_id
    from climb
    inner join reported_calls as above
        on climb.trace_id = above.trace_id
        and climb.parent_span_id = above.span_id
        and above.has_usage
        and above.is_model_operation
)
select
    reported.*,
    span.scope_name
from climb
inner join reported_calls as reported
    on climb.trace_id = reported.trace_id and climb.leaf_id = reported.span_id
inner join span_once as span
    on climb.trace_id = span.trace_id and climb.leaf_id = span.span_id
where climb.depth = 0
    and (climb.trace_id, climb.leaf_id) not in (select (trace_id, leaf_id) from explained)
qualify row_number() over (
    partition by climb.trace_id, climb.leaf_id
    order by reported.is_gate desc, reported.call_id
) = 1
