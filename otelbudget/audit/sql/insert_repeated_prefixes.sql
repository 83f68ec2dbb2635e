-- Adds calls that read nothing from the provider's cache although they begin as the call before them
-- does: of one parent and model, within five minutes, by what was captured of what they were asked.
-- Tokens are the input's, in the proportion of bytes. Only the 100,000 largest are looked at.
-- Input: $asked varchar, a pattern of the attributes that hold what a call was asked.
insert into lost_caches
with calls as (
    select
        call.call_row,
        call.span_row,
        call.trace_id,
        call.provider,
        call.model,
        call.service_tier,
        call.input_tokens,
        call.cache_read_input_tokens + call.cache_write_input_tokens as cached_tokens,
        call.start_time_unix_nano as starts_at,
        lag(call.end_time_unix_nano) over siblings as ended_before,
        lag(call.span_row) over siblings as row_before
    from model_calls as call
    where call.has_usage
        and not call.is_error
        and call.told is null
        and call.start_time_unix_nano is not null
        and call.input_tokens >= 1024
        and call.parent_row is not null
    window siblings as (
        partition by call.parent_row, call.model
        order by call.start_time_unix_nano, call.call_row
    )
),
pairs as (
    select *
    from calls
    where cached_tokens = 0
        and starts_at between ended_before and ended_before + 300000000000
        and call_row not in (select lost.call_row from lost_caches as lost)
    order by input_tokens desc, call_row
    limit 100000
),
spans as (
    select
        span_row,
        attributes
    from span_once
    where span_row in (
        select pair.span_row
        from pairs as pair
        union
        select pair.row_before
        from pairs as pair
    )
        and regexp_matches(attributes, $asked)
),
keys as (
    select
        span_row,
        attributes,
        unnest(json_keys(attributes)) as key
    from spans
),
told as (
    select
        span_row,
        key,
        json_extract(attributes, '/' || replace(replace(key, '~', '~0'), '/', '~1')) as value
    from keys
    where regexp_matches('"' || key, $asked)
),
lists as (
    select
        *,
        coalesce(
            json_extract(value, '/parts'),
            case when json_type(value) = 'ARRAY' then value end,
            case
                when json_type(value) = 'VARCHAR' and starts_with(value ->> '$', '[')
                    then try_cast(value ->> '$' as json)
            end
        ) as messages
    from told
),
parts as (
    select
        span_row,
        key,
        value,
        coalesce(
            try_cast(regexp_extract(key, '[.]([0-9]+)([.]|$)', 1) as integer),
            case when contains(key, 'system') then -1 else 0 end
        ) as place
    from lists
    where coalesce(json_array_length(messages), 0) = 0
    union all
    select
        span_row,
        key || '.' || message.place as key,
        json_extract(messages, '/' || message.place) as value,
        message.place
    from (
        select
            span_row,
            key,
            messages,
            unnest(range(json_array_length(messages)::bigint)) as place
        from lists
        where json_array_length(messages) > 0
    ) as message
),
sized as (
    select
        span_row,
        key,
        value::varchar as value,
        place,
        coalesce(
            try_cast(json_extract_string(value, '/bytes') as bigint), strlen(value::varchar)
        ) as size
    from parts
),
compared as (
    select
        pair.call_row,
        part.place,
        part.size,
        before.value is not distinct from part.value as is_equal
    from pairs as pair
    inner join sized as part
        on pair.span_row = part.span_row
    left join sized as before
        on pair.row_before = before.span_row and part.key = before.key
),
ends as (
    select
        call_row,
        min(place) filter (where not is_equal) as place,
        sum(size) as size
    from compared
    group by call_row
),
shared as (
    select
        compared.call_row,
        sum(compared.size) as size,
        any_value(ends.size) as whole
    from compared
    inner join ends
        on compared.call_row = ends.call_row
    where compared.place < coalesce(ends.place, 2147483647)
    group by compared.call_row
)
select
    pair.call_row,
    pair.trace_id,
    pair.provider,
    pair.model,
    pair.service_tier,
    (pair.input_tokens * shared.size // shared.whole)::bigint as tokens
from pairs as pair
inner join shared
    on pair.call_row = shared.call_row
where pair.input_tokens * shared.size // shared.whole >= 1024
