-- One row per trace with a model call: workflow, agent, trace_id, start_time_unix_nano,
-- list_cost_pusd, reason; reason says why it cannot tell what a run needs, null where it can.
-- Ordered by workflow, agent, start, trace_id.
with refused as (
    select distinct trace_id
    from span_once
    where contains(attributes, '"otelbudget.decision":"denied"')
        or contains(events, '"otelbudget.denied"')
),
sums as (
    select
        trace_id,
        sum(list_cost_pusd) as list_cost_pusd,
        bool_or(has_usage and list_cost_pusd is null) as has_unpriced,
        bool_or(not has_usage and not is_error) as has_unknown,
        bool_or(has_usage and start_time_unix_nano is null) as has_untimed
    from model_calls
    group by trace_id
)
select
    root.root_name as workflow,
    coalesce(named.agent, '') as agent,
    sums.trace_id,
    root.start_time_unix_nano,
    coalesce(sums.list_cost_pusd, 0) as list_cost_pusd,
    case
        when not root.has_root then 'root span missing'
        when not root.root_ended then 'root span not ended'
        when sums.has_untimed or root.start_time_unix_nano is null then 'no times'
        when sums.has_unpriced then 'unpriced model'
        when sums.has_unknown then 'call without usage'
        when refused.trace_id is not null then 'stopped by a budget'
    end as reason
from sums
inner join trace_roots as root
    on sums.trace_id = root.trace_id
left join span_agents as named
    on root.root_row = named.span_row
left join refused
    on sums.trace_id = refused.trace_id
order by workflow, agent, root.start_time_unix_nano, sums.trace_id
