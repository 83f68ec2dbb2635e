-- How sure the prices of the model calls are: confidence ('unknown' without a price), calls, and what
-- they cost; the most calls first.
select
    coalesce(confidence, 'unknown') as confidence,
    count(*) as calls,
    sum(list_cost_pusd) as list_cost_pusd
from model_calls
where has_usage
group by all
order by calls desc, confidence
