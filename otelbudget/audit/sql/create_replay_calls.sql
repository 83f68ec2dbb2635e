-- Calls to sweep over: their scope, their run where that was good, what puts calls of one start in
-- order, what each adds to the limit's kind, its list cost, and whether no limit refuses it.
create or replace temp table replay_calls (
    scope_id integer,
    good_run_id integer,
    position integer,
    start_time_unix_nano bigint,
    end_time_unix_nano bigint,
    amount hugeint,
    list_cost_pusd hugeint,
    is_spared boolean
)
