-- Drops the model calls whose value in scope_values is another one. Input: $value varchar.
delete from model_calls
where span_row not in (
    select span_row
    from scope_values
    where value = $value
)
