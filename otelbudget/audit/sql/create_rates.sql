-- Rates in pico-USD per token of the models that were called, by when they hold: [from_ns, until_ns).
-- No service tier, provider or model is ''. Requests above max_input_tokens have other rates, and
-- so has reasoning where has_special.
create or replace table memory.building.rates (
    provider varchar,
    model varchar,
    service_tier varchar,
    from_ns bigint,
    until_ns bigint,
    max_input_tokens bigint,
    has_special boolean,
    confidence varchar,
    request hugeint,
    input hugeint,
    output hugeint,
    cache_read hugeint,
    cache_write hugeint,
    cache_write_1h hugeint
)
