-- Drops the counted calls that repeat another one.
delete from counted_calls
where call_row in (
    select call_row
    from twin_rows
)
