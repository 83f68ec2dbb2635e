-- Runs that were opened by name, by the first span that tells their id, where that has ended: run_id,
-- is_good (the span did not fail), and the JSON text of one attribute of the span, null where it is
-- missing. Inputs: $name varchar, the attribute of the id in double quotes; $id_path varchar, the JSON
-- pointer to it; $path varchar, that to the other, null where none is asked for.
with told as (
    select
        json_extract_string(attributes, $id_path) as run_id,
        status_code,
        json_extract(attributes, $path::varchar)::varchar as told,
        start_time_unix_nano,
        end_time_unix_nano,
        span_id
    from span_once
    where contains(attributes, $name)
),
firsts as (
    select
        run_id,
        arg_min(
            struct_pack(
                is_good := status_code <> 2,
                told := told,
                has_ended := end_time_unix_nano is not null
            ),
            struct_pack(
                start_ns := coalesce(start_time_unix_nano, 9223372036854775807),
                span_id := span_id
            )
        ) as root
    from told
    where run_id is not null
    group by run_id
)
select
    run_id,
    root.is_good,
    root.told
from firsts
where root.has_ended
