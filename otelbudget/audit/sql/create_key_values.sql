-- Makes the table of values that calls have for keys: key_number, call_row, value (null where nothing
-- tells one).
create or replace temporary table key_values (
    key_number integer,
    call_row bigint,
    value varchar
)
