-- The calls that are made again: of those with one parent, model and content, the ones that begin after
-- one of them has ended. Where no content was captured, equal input and output tokens of calls in a row
-- stand for it. sibling_set, call_row, trace_id, starts_at and ends_at in unix ns, list_cost_pusd,
-- is_proven (content was captured), is_repeat.
create or replace temporary table repeats as
with calls as (
    select
        sibling.*,
        content.digest,
        row_number() over (
            partition by sibling.parent_row, sibling.asked_model, sibling.operation
            order by sibling.starts_at, sibling.call_row
        ) - row_number() over (
            partition by
                sibling.parent_row,
                sibling.asked_model,
                sibling.operation,
                sibling.input_tokens,
                sibling.output_tokens
            order by sibling.starts_at, sibling.call_row
        ) as row_of_equals
    from sibling_calls as sibling
    left join call_contents as content
        on sibling.call_row = content.call_row
    where sibling.has_usage and not sibling.is_error and sibling.parent_row is not null
),
sets as (
    select
        * exclude (digest, row_of_equals),
        digest is not null as is_proven,
        dense_rank() over (
            order by
                parent_row,
                asked_model,
                operation,
                digest,
                case when digest is null then input_tokens end,
                case when digest is null then output_tokens end,
                case when digest is null then row_of_equals end
        ) as sibling_set
    from calls
)
select
    sibling_set,
    call_row,
    trace_id,
    starts_at,
    ends_at,
    list_cost_pusd,
    is_proven,
    coalesce(
        starts_at >= min(ends_at) over (
            partition by sibling_set
            order by starts_at, call_row
            rows between unbounded preceding and 1 preceding
        ),
        false
    ) as is_repeat
from sets
