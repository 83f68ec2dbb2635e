-- Calls that follow a failed one of the same parent, model and operation, and ask the same where content
-- was captured, by trace: trace_id, count, and what the failed ones cost where they tell usage.
with followed as (
    select
        sibling.trace_id,
        sibling.starts_at,
        content.digest,
        lag(sibling.is_error, 1, false) over siblings as failed_before,
        lag(sibling.ends_at) over siblings as ended_before,
        lag(content.digest) over siblings as digest_before,
        lag(sibling.list_cost_pusd) over siblings as cost_before
    from sibling_calls as sibling
    left join call_contents as content
        on sibling.call_row = content.call_row
    where sibling.parent_row is not null
    window siblings as (
        partition by sibling.parent_row, sibling.asked_model, sibling.operation
        order by sibling.starts_at, sibling.call_row
    )
)
select
    trace_id,
    count(*) as found,
    sum(cost_before) as amount_pusd
from followed
where failed_before
    and starts_at >= ended_before
    and coalesce(digest = digest_before, true)
group by trace_id
