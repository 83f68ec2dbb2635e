-- What was spent, by any keys: one row per distinct key, the dearest first.
-- Input: $keys varchar[], each one of model, provider, agent, service, workflow, trace, operation,
-- conversation, user, service_tier;
-- no keys give one row for all calls; a call that carries no value has '(none)'.
-- Failed calls are left out. Row: key varchar[], then the fields of otelbudget.audit.spend.Totals in order.
select
    list_transform(
        $keys::varchar[],
        lambda name: coalesce(
            case name
                when 'model' then model
                when 'provider' then provider
                when 'agent' then agent
                when 'service' then service
                when 'workflow' then workflow
                when 'trace' then trace_id
                when 'operation' then operation
                when 'conversation' then conversation
                when 'user' then "user"
                when 'service_tier' then service_tier
            end,
            '(none)'
        )
    ) as key,
    count(distinct trace_id) as traces,
    count(*) filter (where has_usage) as model_calls,
    coalesce(sum(input_tokens), 0) as input_tokens,
    coalesce(sum(output_tokens), 0) as output_tokens,
    coalesce(sum(cache_read_input_tokens), 0) as cache_read_input_tokens,
    coalesce(sum(cache_write_input_tokens), 0) as cache_write_input_tokens,
    coalesce(sum(reasoning_output_tokens), 0) as reasoning_output_tokens,
    coalesce(sum(cache_write_1h_input_tokens), 0) as cache_write_1h_input_tokens,
    coalesce(sum(audio_input_tokens), 0) as audio_input_tokens,
    coalesce(sum(audio_output_tokens), 0) as audio_output_tokens,
    coalesce(sum(image_input_tokens), 0) as image_input_tokens,
    coalesce(sum(image_output_tokens), 0) as image_output_tokens,
    coalesce(sum(web_searches), 0) as web_searches,
    sum(list_cost_pusd) as list_cost_pusd,
    sum(try_cast(reported_cost_usd as decimal(24, 12))) as reported_cost_usd,
    count(*) filter (where has_usage and list_cost_pusd is null) as unpriced_calls,
    coalesce(sum(input_tokens) filter (where list_cost_pusd is null), 0) as unpriced_input_tokens,
    coalesce(sum(output_tokens) filter (where list_cost_pusd is null), 0) as unpriced_output_tokens,
    count(*) filter (where not has_usage and not is_error) as calls_without_usage,
    count(*) filter (where has_usage and start_time_unix_nano is null) as calls_without_time
from model_calls
where has_usage or not is_error
group by key
order by list_cost_pusd desc nulls last, input_tokens desc, key
