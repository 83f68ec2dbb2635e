-- The traces that cost most: trace_id, workflow, starts_at in unix ns, is_failed, model_calls, tokens,
-- list_cost_pusd, nanoseconds, unpriced_calls, calls_without_usage; the dearest first. Input: $most
-- bigint.
select
    trace_id,
    workflow,
    starts_at,
    is_failed,
    model_calls,
    tokens,
    list_cost_pusd,
    nanoseconds,
    unpriced_calls,
    calls_without_usage
from trace_sums
order by list_cost_pusd desc nulls last, tokens desc, trace_id
limit $most
