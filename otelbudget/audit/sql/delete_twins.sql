-- Drops the rows of counted_calls that repeat another one.
delete from counted_calls
where rowid in (
    select call_row
    from twin_rows
)
