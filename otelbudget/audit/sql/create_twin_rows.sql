-- The reported calls that tell of a call that another one tells better.
create or replace table memory.building.twin_rows (
    call_row bigint
)
