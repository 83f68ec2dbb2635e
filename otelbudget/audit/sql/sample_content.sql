-- Whether what a call was asked was captured by any of the first 10,000 model calls: one row, how many
-- calls there are and how many of those looked at have it. Inputs: $asked and $message varchar, patterns
-- of the attributes and of the events that hold it.
with first_calls as (
    select span_row
    from model_calls
    where has_usage
    order by span_row
    limit 10000
)
select
    (select count(*) from model_calls where has_usage) as calls,
    count(*) filter (
        where regexp_matches(span.attributes, $asked)
            or coalesce(regexp_matches(span.events, $message), false)
    ) as captured
from first_calls as first_call
inner join span_once as span
    on first_call.span_row = span.span_row
