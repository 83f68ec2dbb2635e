-- What each trace with model calls used: trace_id, workflow (name of the root span), starts_at in unix
-- ns, is_failed (the root span did), has_ended, model_calls, tokens, list_cost_pusd (null where no call
-- is priced), whole_cost_pusd (the same, null where the usage or the price of a call is unknown),
-- unpriced_calls (those of model_calls), calls_without_usage (further ones), nanoseconds (of the root
-- span, null where it has not ended).
create or replace temporary table trace_sums as
with sums as (
    select
        trace_id,
        count(*) filter (where has_usage) as model_calls,
        sum(input_tokens + output_tokens)::bigint as tokens,
        sum(list_cost_pusd)::bigint as list_cost_pusd,
        count(*) filter (where has_usage and list_cost_pusd is null) as unpriced_calls,
        count(*) filter (where not has_usage) as calls_without_usage
    from model_calls
    where has_usage or not is_error
    group by trace_id
)
select
    sums.trace_id,
    coalesce(root.root_name, '(none)') as workflow,
    root.start_time_unix_nano as starts_at,
    coalesce(root.root_status_code = 2, false) as is_failed,
    sums.model_calls,
    sums.tokens,
    sums.list_cost_pusd,
    case
        when sums.unpriced_calls + sums.calls_without_usage = 0 then sums.list_cost_pusd
    end as whole_cost_pusd,
    sums.unpriced_calls,
    sums.calls_without_usage,
    greatest(span.end_time_unix_nano - span.start_time_unix_nano, 0) as nanoseconds
from sums
left join trace_roots as root
    on sums.trace_id = root.trace_id
left join spans as span
    on root.root_row = span.rowid and root.has_root
