-- Spans that tell of other tokens than the calls below them add up to, by trace: trace_id, count, and
-- by how much the one that exceeds them most costs more.
with recursive told as (
    select
        case
            when counted.told is not null or counted.is_borrowed then counted.span_row
            else counted.parent_row
        end as span_row,
        sum(counted.input_tokens) as input_tokens,
        sum(counted.output_tokens) as output_tokens,
        sum(counted.list_cost_pusd) as list_cost_pusd
    from cache.main.model_calls as counted
    where counted.has_usage
        and counted.trace_id in (select repeated.trace_id from repeated_usage as repeated)
    group by all
),
below as (
    select
        span_row,
        input_tokens,
        output_tokens,
        list_cost_pusd
    from told
    union all
    select
        link.parent_row as span_row,
        below.input_tokens,
        below.output_tokens,
        below.list_cost_pusd
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
    where span_row in (select repeated.span_row from repeated_usage as repeated)
    group by span_row
)
select
    repeated.trace_id,
    count(*) as found,
    max(greatest(repeated.list_cost_pusd - sums.list_cost_pusd, 0)) as amount_pusd
from repeated_usage as repeated
inner join sums
    on repeated.span_row = sums.span_row
where repeated.input_tokens <> sums.input_tokens
    or repeated.output_tokens <> sums.output_tokens
group by repeated.trace_id
