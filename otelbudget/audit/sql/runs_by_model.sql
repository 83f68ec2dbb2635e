-- What each trace used of each model: workflow, model, trace_id, model_calls, input and output tokens,
-- list_cost_pusd (null: no call has a price), is_priced (the usage and the price of every call are
-- known). Failed calls without usage are left out. Ordered by workflow, model, trace_id.
select
    coalesce(workflow, '(none)') as workflow,
    coalesce(model, '(none)') as model,
    trace_id,
    count(*) filter (where has_usage) as model_calls,
    coalesce(sum(input_tokens), 0) as input_tokens,
    coalesce(sum(output_tokens), 0) as output_tokens,
    sum(list_cost_pusd) as list_cost_pusd,
    bool_and(has_usage and list_cost_pusd is not null) as is_priced
from model_calls
where has_usage or not is_error
group by all
order by workflow, model, trace_id
