-- What each workflow used: workflow, runs, failed_runs, list_cost_pusd, how many workflows there are;
-- the dearest first. Input: $most bigint, how many rows to give, null for all.
select
    workflow,
    count(*) as runs,
    count(*) filter (where is_failed) as failed_runs,
    sum(list_cost_pusd) as list_cost_pusd,
    count(*) over () as workflows
from trace_sums
group by workflow
order by list_cost_pusd desc nulls last, runs desc, workflow
limit $most
