-- Traces that a sampler kept while it left others out, by trace: trace_id, 1, and what those it stands
-- for are likely to have cost beside it. The threshold th of the tracestate, hexadecimal digits of a
-- number of 56 bits, is the share that is left out (OpenTelemetry tracestate probability sampling).
with thresholds as (
    select
        trace_id,
        max(
            try_cast(
                '0x' || rpad(regexp_extract(trace_state, 'ot=[^,]*th:([0-9a-f]{1,14})', 1), 14, '0')
                as bigint
            )
        ) / 72057594037927936.0 as left_out
    from span_once
    where regexp_matches(trace_state, 'ot=[^,]*(th|p):[1-9a-f]')
    group by trace_id
),
costs as (
    select
        trace_id,
        sum(list_cost_pusd) as list_cost_pusd
    from model_calls
    group by trace_id
)
select
    threshold.trace_id,
    1 as traces,
    (cost.list_cost_pusd * threshold.left_out / nullif(1 - threshold.left_out, 0))::hugeint
        as amount_pusd
from thresholds as threshold
left join costs as cost
    on threshold.trace_id = cost.trace_id
