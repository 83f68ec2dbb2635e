-- Drops the calls that a library told of on its caller's span where a span below tells of the same
-- tokens: it is the same call.
delete from memory.building.counted_calls
where call_row in (
    with recursive climb as (
        select
            told.input_tokens,
            told.output_tokens,
            case when told.is_gate then told.span_row else link.parent_row end as parent_row
        from memory.building.reported_calls as told
        inner join span_links as link
            on told.span_row = link.span_row
        where told.has_usage
            and not told.is_borrowed
            and told.call_row in (select counted.call_row from memory.building.counted_calls as counted)
            and told.trace_id in (
                select borrowed.trace_id
                from memory.building.reported_calls as borrowed
                where borrowed.is_borrowed and borrowed.has_usage
            )
        union
        select
            climb.input_tokens,
            climb.output_tokens,
            link.parent_row
        from climb
        inner join span_links as link
            on climb.parent_row = link.span_row
    )
    select borrowed.call_row
    from climb
    inner join memory.building.reported_calls as borrowed
        on climb.parent_row = borrowed.span_row
        and climb.input_tokens = borrowed.input_tokens
        and climb.output_tokens = borrowed.output_tokens
    where borrowed.is_borrowed and borrowed.has_usage
)
