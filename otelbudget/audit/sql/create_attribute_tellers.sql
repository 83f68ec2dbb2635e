-- The spans that tell a value of a key: span_row, value. Inputs: $written_name and $own_name varchar,
-- the attributes in double quotes; $written and $own varchar, JSON pointers to them.
create or replace temporary table key_tellers as
select
    span_row,
    coalesce(
        json_extract_string(attributes, $written), json_extract_string(attributes, $own)
    ) as value
from span_once
where (contains(attributes, $written_name) or contains(attributes, $own_name))
    and coalesce(
        json_extract_string(attributes, $written), json_extract_string(attributes, $own)
    ) is not null
