-- One row about the spans that were read: rows, distinct spans, traces, start and end of the period
-- in unix ns, and whether a sampler left some out.
select
    (select count(*) from spans) as deliveries,
    count(*) as distinct_spans,
    count(distinct trace_id) as traces,
    min(start_time_unix_nano) as period_start,
    max(greatest(end_time_unix_nano, start_time_unix_nano)) as period_end,
    coalesce(bool_or(regexp_matches(trace_state, 'ot=[^,]*(th|p):[1-9a-f]')), false) as is_sampled
from span_once
