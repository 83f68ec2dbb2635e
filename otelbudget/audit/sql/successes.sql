-- What ended roots tell in one attribute: its distinct JSON texts, null where one tells nothing.
-- Input: $path varchar, the JSON pointer to it.
select distinct json_extract(span.attributes, $path)::varchar as told
from trace_roots as root
inner join spans as span
    on root.root_row = span.rowid
where root.has_root and root.root_ended
