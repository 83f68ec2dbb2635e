-- What the runs of each workflow used, by measure (whole_cost_pusd, tokens, model_calls, nanoseconds):
-- workflow, measure, runs of which it is known, their sum, median, 95 % quantile and the most. A
-- quantile is the smallest value that at least so many of the runs stay at or below.
with measured as (
    unpivot trace_sums
    on
        whole_cost_pusd,
        tokens,
        model_calls,
        nanoseconds
    into
        name measure
        value value
),
ranked as (
    select
        workflow,
        measure,
        value,
        row_number() over (partition by workflow, measure order by value) as place,
        count(*) over (partition by workflow, measure) as runs
    from measured
)
select
    workflow,
    measure,
    any_value(runs) as runs,
    sum(value) as whole,
    max(value) filter (where place = (runs + 1) // 2) as median,
    max(value) filter (where place = (95 * runs + 99) // 100) as p95,
    max(value) as most
from ranked
group by
    workflow,
    measure
