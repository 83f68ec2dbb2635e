-- Traces whose root span is there and has ended: trace_id, is_good (the root did not fail), and the JSON
-- text of one attribute of the root, null where it is missing. Input: $path varchar, the JSON
-- pointer to it, null where none is asked for.
select
    root.trace_id,
    root.root_status_code <> 2 as is_good,
    json_extract(span.attributes, $path::varchar)::varchar as told
from trace_roots as root
left join spans as span
    on $path::varchar is not null and root.root_row = span.rowid
where root.has_root and root.root_ended
