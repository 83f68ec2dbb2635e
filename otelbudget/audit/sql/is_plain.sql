-- Whether traces tell nothing of calls but what their spans do: otelbudget wrote nothing, and every cost
-- is a bigint. One row, one boolean.
select
    not exists (
        select 1
        from library_calls
        where is_gate
    )
    and not exists (
        select 1
        from span_once
        where contains(attributes, '"otelbudget.') or contains(events, '"otelbudget.')
    )
    and coalesce(
        (
            select max(list_cost_pusd)
            from model_calls
        ),
        0
    ) < 9223372036854775807 as is_plain
