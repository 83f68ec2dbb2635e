-- One row per trace with a model call: key varchar[] by which its workflow is known, trace_id,
-- start_time_unix_nano, what it needed (pico-USD, calls, tokens, ns, calls of tools), reason why it
-- cannot tell what a run needs (null where it can), and whether a budget could have stopped it.
-- A key of calls has the value of the run's first call; "agent" is the one that its root span names.
-- Inputs: $by varchar[], keys, in the order of key_values; $since and $until bigint, the period of
-- starts in unix ns, null for open.
create or replace table runs_of_workflows as
with limited as (
    select
        trace_id,
        bool_or(
            contains(attributes, '"otelbudget.decision":"denied"')
            or contains(events, '"otelbudget.denied"')
        ) as is_refused
    from span_once
    where contains(attributes, '"otelbudget.decision":"allowed"')
        or contains(attributes, '"otelbudget.decision":"denied"')
        or contains(events, '"otelbudget.denied"')
        or contains(events, '"otelbudget.decision":"allowed"')
    group by trace_id
),
starts as (
    select
        trace_id,
        min(start_time_unix_nano) as start_time_unix_nano
    from span_once
    group by trace_id
),
sums as (
    select
        trace_id,
        coalesce(sum(list_cost_pusd), 0) as list_cost_pusd,
        count(*) as calls,
        sum(input_tokens + output_tokens) as tokens,
        max(coalesce(end_time_unix_nano, start_time_unix_nano)) as end_time_unix_nano,
        arg_min(
            struct_pack(
                call_row := call_row,
                model := model,
                provider := provider,
                service := service,
                operation := operation,
                conversation := conversation,
                "user" := "user",
                service_tier := service_tier
            ),
            struct_pack(
                start_ns := coalesce(start_time_unix_nano, 9223372036854775807),
                call_row := call_row
            )
        ) as first_call,
        bool_or(has_usage and list_cost_pusd is null) as has_unpriced,
        bool_or(not has_usage and not is_error) as has_unknown,
        bool_or(has_usage and start_time_unix_nano is null) as has_untimed
    from model_calls
    group by trace_id
),
given as (
    select
        call_row,
        map(list(key_number), list(value)) as told
    from key_values
    group by call_row
)
select
    list_transform(
        $by::varchar[],
        lambda name, place: case name
            when 'workflow' then root.root_name
            when 'agent' then coalesce(named.agent, '')
            else coalesce(
                case name
                    when 'model' then sums.first_call.model
                    when 'provider' then sums.first_call.provider
                    when 'service' then sums.first_call.service
                    when 'operation' then sums.first_call.operation
                    when 'conversation' then sums.first_call.conversation
                    when 'user' then sums.first_call."user"
                    when 'service_tier' then sums.first_call.service_tier
                    else given.told[place - 1]
                end,
                '(none)'
            )
        end
    ) as key,
    sums.trace_id,
    root.start_time_unix_nano,
    sums.list_cost_pusd,
    sums.calls,
    sums.tokens,
    greatest(sums.end_time_unix_nano - starts.start_time_unix_nano, 0) as elapsed_ns,
    coalesce(tools.tool_calls, 0) as tool_calls,
    case
        when not root.has_root then 'root span missing'
        when not root.root_ended then 'root span not ended'
        when sums.has_untimed or root.start_time_unix_nano is null then 'no times'
        when root.start_time_unix_nano < $since or root.start_time_unix_nano >= $until
            then 'started outside the period'
        when sums.has_unpriced then 'unpriced model'
        when sums.has_unknown then 'call without usage'
        when limited.is_refused then 'stopped by a budget'
    end as reason,
    limited.trace_id is not null as is_limited
from sums
inner join trace_roots as root
    on sums.trace_id = root.trace_id
left join starts
    on sums.trace_id = starts.trace_id
left join span_agents as named
    on root.root_row = named.span_row
left join limited
    on sums.trace_id = limited.trace_id
left join run_tools as tools
    on sums.trace_id = tools.trace_id
left join given
    on sums.first_call.call_row = given.call_row
