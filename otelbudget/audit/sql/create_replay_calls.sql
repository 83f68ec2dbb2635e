-- Calls to sweep over: what each adds to the limit's kind, and its list cost.
create or replace table replay_calls (
    trace_id varchar,
    span_id varchar,
    start_time_unix_nano bigint,
    end_time_unix_nano bigint,
    amount hugeint,
    list_cost_pusd hugeint
)
