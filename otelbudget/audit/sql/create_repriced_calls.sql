-- Model calls that would have been others, or cost something else: call_row, and what takes the place
-- of the columns of model_calls.
create or replace table repriced_calls (
    call_row bigint,
    provider varchar,
    model varchar,
    request_model varchar,
    cache_read_input_tokens bigint,
    list_cost_pusd hugeint,
    confidence varchar
)
