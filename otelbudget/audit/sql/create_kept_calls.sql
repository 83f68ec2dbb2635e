-- The model calls that are asked about: call_row.
create or replace table kept_calls (
    call_row bigint
)
