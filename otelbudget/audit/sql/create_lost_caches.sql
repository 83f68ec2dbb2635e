-- Calls that read nothing from the provider's cache although what they begin with was in it: calls of
-- one parent and model within five minutes, of which one before read or wrote the cache and one after
-- read it. call_row, trace_id, provider, model, service_tier, tokens (as many as were in
-- the cache).
create or replace temporary table lost_caches as
with calls as (
    select
        call.trace_id,
        call.provider,
        call.model,
        call.service_tier,
        call.input_tokens,
        call.cache_read_input_tokens as read_tokens,
        call.cache_read_input_tokens + call.cache_write_input_tokens as cached_tokens,
        call.start_time_unix_nano as starts_at,
        call.end_time_unix_nano as ends_at,
        call.call_row,
        case when call.told is null then call.parent_row else call.span_row end as parent_row
    from model_calls as call
    where call.has_usage
        and call.start_time_unix_nano is not null
),
parents as (
    select parent_row
    from calls
    where parent_row is not null
    group by parent_row
    having max(read_tokens) > 0 and min(cached_tokens) = 0
),
neighbours as (
    select
        calls.*,
        lag(calls.cached_tokens) over siblings as cached_before,
        lag(calls.ends_at) over siblings as ended_before,
        lead(calls.read_tokens) over siblings as read_after,
        lead(calls.starts_at) over siblings as started_after
    from calls
    where calls.parent_row in (select parent.parent_row from parents as parent)
    window siblings as (
        partition by calls.parent_row, calls.model
        order by calls.starts_at, calls.call_row
    )
)
select
    call_row,
    trace_id,
    provider,
    model,
    service_tier,
    least(cached_before, read_after) as tokens
from neighbours
where cached_tokens = 0
    and least(cached_before, read_after) >= 1024
    and input_tokens >= least(cached_before, read_after)
    and starts_at between ended_before and ended_before + 300000000000
    and started_after between ends_at and ends_at + 300000000000
