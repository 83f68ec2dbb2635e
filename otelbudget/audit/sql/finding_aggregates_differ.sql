-- Spans that tell of other tokens than the calls below them add up to, by trace: trace_id, count, and
-- by how much the one that exceeds them most costs more.
with recursive below as (
    select
        reported.input_tokens,
        reported.output_tokens,
        cost.list_cost_pusd,
        case
            when reported.is_gate or reported.is_borrowed then reported.span_row
            else link.parent_row
        end as span_row
    from reported_calls as reported
    inner join span_links as link
        on reported.span_row = link.span_row
    left join reported_costs as cost
        on reported.call_row = cost.call_row
    where reported.has_usage
        and reported.call_row in (select counted.call_row from counted_calls as counted)
    union all
    select
        below.input_tokens,
        below.output_tokens,
        below.list_cost_pusd,
        link.parent_row as span_row
    from below
    inner join span_links as link
        on below.span_row = link.span_row
),
sums as (
    select
        span_row,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(list_cost_pusd) as list_cost_pusd
    from below
    group by span_row
)
select
    reported.trace_id,
    count(*) as spans,
    max(greatest(cost.list_cost_pusd - sums.list_cost_pusd, 0)) as amount_pusd
from reported_calls as reported
inner join sums
    on reported.span_row = sums.span_row
left join reported_costs as cost
    on reported.call_row = cost.call_row
where reported.has_usage
    and reported.call_row not in (select counted.call_row from counted_calls as counted)
    and reported.call_row not in (select twin.call_row from twin_rows as twin)
    and (
        reported.input_tokens <> sums.input_tokens
        or reported.output_tokens <> sums.output_tokens
    )
group by reported.trace_id
order by amount_pusd desc nulls last, reported.trace_id
