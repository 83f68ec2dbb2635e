-- Runs that were opened by name, by the first span that tells their id, where that has ended: run_id,
-- is_good (the span did not fail), attributes of the span as JSON. Inputs: $name varchar, the attribute
-- in double quotes; $path varchar, the JSON pointer to it.
with told as (
    select
        json_extract_string(attributes, $path) as run_id,
        status_code,
        attributes,
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
                attributes := attributes,
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
    root.attributes
from firsts
where root.has_ended
