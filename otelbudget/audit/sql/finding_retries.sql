-- Calls that follow a failed one of the same parent, model and operation, and ask the same where content
-- was captured, else begin soon, by trace: trace_id, count, and what the failed ones cost where they tell
-- usage. Input: $within_ns bigint, how soon.
with followed as (
    select
        sibling.trace_id,
        sibling.starts_at,
        content.digest,
        lag(sibling.is_error, 1, false) over siblings as failed_before,
        lag(sibling.ends_at) over siblings as ended_before,
        lag(content.digest) over siblings as digest_before,
        lag(sibling.list_cost_pusd) over siblings as cost_before,
        lag(sibling.is_error, 1, false) over equals as equal_failed_before,
        lag(sibling.ends_at) over equals as equal_ended_before,
        lag(sibling.list_cost_pusd) over equals as equal_cost_before
    from sibling_calls as sibling
    left join call_contents as content
        on sibling.call_row = content.call_row
    where sibling.parent_row is not null
    window
        siblings as (
            partition by sibling.parent_row, sibling.asked_model, sibling.operation
            order by sibling.starts_at, sibling.call_row
        ),
        equals as (
            partition by
                sibling.parent_row, sibling.asked_model, sibling.operation, content.digest
            order by sibling.starts_at, sibling.call_row
        )
),
judged as (
    select
        trace_id,
        digest is not null
            and equal_failed_before
            and starts_at >= equal_ended_before as follows_equal,
        failed_before
            and starts_at between ended_before and ended_before + $within_ns
            and (digest is null or digest_before is null) as follows_any,
        equal_cost_before,
        cost_before
    from followed
)
select
    trace_id,
    count(*) as found,
    sum(case when follows_equal then equal_cost_before else cost_before end) as amount_pusd
from judged
where follows_equal or follows_any
group by trace_id
