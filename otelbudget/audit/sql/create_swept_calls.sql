-- The same as replay_calls straight from the model calls, each in the scope of its trace.
-- Input: $kind varchar, what the limit counts. A template: $swept_traces.
create or replace temp table replay_calls as
select
    trace.run_id as scope_id,
    case when trace.is_good then trace.run_id end as good_run_id,
    case when $kind = 'calls' then call.span_id end as position,
    call.start_time_unix_nano,
    case when $kind = 'seconds' then trace.start_time_unix_nano else call.end_time_unix_nano end
        as end_time_unix_nano,
    case $kind
        when 'cost_usd' then coalesce(call.list_cost_pusd::bigint, 0)
        when 'tokens' then call.input_tokens + call.output_tokens
        when 'input_tokens' then call.input_tokens
        when 'output_tokens' then call.output_tokens
        when 'cache_read_input_tokens' then call.cache_read_input_tokens
        when 'cache_write_input_tokens' then call.cache_write_input_tokens
        when 'reasoning_output_tokens' then call.reasoning_output_tokens
        else 1
    end as amount,
    call.list_cost_pusd::bigint as list_cost_pusd,
    $kind = 'cost_usd'
    and coalesce(call.list_cost_pusd, 0) = 0
    and exists (
        select 1
        from free_models as free
        where free.provider = coalesce(call.provider, '')
            and free.model = coalesce(call.request_model, '')
            and call.start_time_unix_nano >= free.from_ns
            and call.start_time_unix_nano < free.until_ns
    ) as is_spared
from model_calls as call
inner join $swept_traces as trace
    on call.trace_id = trace.trace_id
where call.has_usage and call.start_time_unix_nano is not null
