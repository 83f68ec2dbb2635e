-- All calls with usage, as no limit would have touched them. One row: the traces of those with a start,
-- how many have a start and how many not, their list cost, how many have no known price, and the model
-- of one of these.
select
    count(distinct trace_id) filter (where start_time_unix_nano is not null) as traces,
    count(start_time_unix_nano) as calls,
    count(*) - count(start_time_unix_nano) as calls_without_time,
    coalesce(sum(list_cost_pusd), 0)::hugeint as spent_pusd,
    count(*) filter (where list_cost_pusd is null and start_time_unix_nano is not null) as unpriced,
    any_value(coalesce(model, '')) filter (where list_cost_pusd is null) as unpriced_model
from model_calls
where has_usage
