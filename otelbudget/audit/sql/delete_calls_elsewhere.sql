-- Drops the model calls that are not among kept_calls.
delete from model_calls
where call_row not in (
    select call_row
    from kept_calls
)
