-- Drops the model calls whose value in scope_values is another one. Input: $value varchar.
delete from model_calls
where (trace_id, span_id) not in (
    select (trace_id, span_id)
    from scope_values
    where value = $value
)
