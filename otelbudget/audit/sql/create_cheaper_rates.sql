-- Makes the table of what might have been paid instead: provider, model, service_tier, what a token read
-- from the cache saves, and the rates of a smaller model (null where none is known), in pico-USD a token.
create or replace temporary table cheaper_rates (
    provider varchar,
    model varchar,
    service_tier varchar,
    cache_saves_pusd bigint,
    small_input_pusd bigint,
    small_cache_read_pusd bigint,
    small_output_pusd bigint
)
