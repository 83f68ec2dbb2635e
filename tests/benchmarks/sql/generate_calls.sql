-- Model calls in place of those of the store, ten a trace, of lognormal cost. Input: $calls bigint.
create or replace table model_calls as
select
    n as call_row,
    n as span_row,
    md5((n // 10)::varchar) as trace_id,
    printf('%016x', n) as span_id,
    'openai' as provider,
    'gpt-4o' as request_model,
    true as has_usage,
    1780000000000000000 + (n // 10) * 1000000 + (n % 10) * 20000000 as start_time_unix_nano,
    start_time_unix_nano + 5000000 + (hash(n) % 60000000)::bigint as end_time_unix_nano,
    (
        exp(
            10
            + 3 * sqrt(-2 * ln((hash(n * 3) % 1000000 + 1) / 1000001.0))
            * cos(6.283 * (hash(n * 7) % 1000000) / 1000000.0)
        ) * 1000
    )::hugeint as list_cost_pusd,
    (hash(n) % 5000)::bigint as input_tokens,
    (hash(n) % 500)::bigint as output_tokens,
    0::bigint as cache_read_input_tokens,
    0::bigint as cache_write_input_tokens,
    0::bigint as reasoning_output_tokens
from range($calls) as numbers(n)
