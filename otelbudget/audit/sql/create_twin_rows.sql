-- The rows of counted_calls that repeat another one.
create or replace table twin_rows (
    call_row bigint
)
