-- Drops the counted calls that repeat another one.
delete from memory.building.counted_calls
where call_row in (
    select call_row
    from memory.building.twin_rows
)
