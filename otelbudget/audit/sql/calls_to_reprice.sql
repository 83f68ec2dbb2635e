-- The model calls with usage: call_row, provider, model, request_model, service_tier, start and end in
-- unix ns, the attributes of the gate's event as JSON, and tokens by class as in TokenUsage.
select
    call.call_row,
    call.provider,
    call.model,
    call.request_model,
    call.service_tier,
    call.start_time_unix_nano,
    call.end_time_unix_nano,
    call.told,
    call.input_tokens,
    call.output_tokens,
    call.cache_read_input_tokens,
    call.cache_write_input_tokens,
    call.reasoning_output_tokens,
    call.cache_write_1h_input_tokens,
    call.audio_input_tokens,
    call.audio_output_tokens,
    call.image_input_tokens,
    call.image_output_tokens,
    coalesce(library.audio_cache_read_input_tokens, 0) as audio_cache_read_input_tokens,
    coalesce(library.image_cache_read_input_tokens, 0) as image_cache_read_input_tokens,
    call.web_searches
from model_calls as call
left join library_calls as library
    on call.call_row = library.call_row
where call.has_usage
