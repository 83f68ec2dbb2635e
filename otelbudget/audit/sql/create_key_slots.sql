-- Makes the table of windows that quarters of an hour lie in: key_number, slot (quarters of an hour
-- since 1970), value (the window's label).
create or replace temporary table key_slots (
    key_number integer,
    slot bigint,
    value varchar
)
