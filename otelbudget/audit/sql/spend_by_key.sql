-- What was spent, by any keys: one row per distinct key, the dearest first. A template, whose marks
-- otelbudget.audit.keys fills in. Failed calls are left out.
-- Row: a value for each key, the fields of otelbudget.audit.spend.Totals in order, the number of rows
-- before the limit. Input: $$most bigint, how many rows to give, null for all.
select
    $values
    $traces as traces,
    count(*) filter (where call.has_usage) as model_calls,
    coalesce(sum(call.input_tokens), 0) as input_tokens,
    coalesce(sum(call.output_tokens), 0) as output_tokens,
    coalesce(sum(call.cache_read_input_tokens), 0) as cache_read_input_tokens,
    coalesce(sum(call.cache_write_input_tokens), 0) as cache_write_input_tokens,
    coalesce(sum(call.reasoning_output_tokens), 0) as reasoning_output_tokens,
    coalesce(sum(call.cache_write_1h_input_tokens), 0) as cache_write_1h_input_tokens,
    coalesce(sum(call.audio_input_tokens), 0) as audio_input_tokens,
    coalesce(sum(call.audio_output_tokens), 0) as audio_output_tokens,
    coalesce(sum(call.image_input_tokens), 0) as image_input_tokens,
    coalesce(sum(call.image_output_tokens), 0) as image_output_tokens,
    coalesce(sum(call.web_searches), 0) as web_searches,
    sum(call.list_cost_pusd) as list_cost_pusd,
    sum(try_cast(call.reported_cost_usd as decimal(24, 12))) as reported_cost_usd,
    count(*) filter (where call.has_usage and call.list_cost_pusd is null) as unpriced_calls,
    coalesce(sum(call.input_tokens) filter (where call.list_cost_pusd is null), 0)
        as unpriced_input_tokens,
    coalesce(sum(call.output_tokens) filter (where call.list_cost_pusd is null), 0)
        as unpriced_output_tokens,
    count(*) filter (where not call.has_usage and not call.is_error) as calls_without_usage,
    count(*) filter (where call.has_usage and call.start_time_unix_nano is null)
        as calls_without_time,
    count(*) over () as groups
from model_calls as call
$joins
where call.has_usage or not call.is_error
group by $groups
order by list_cost_pusd desc nulls last, input_tokens desc $order
limit $$most
