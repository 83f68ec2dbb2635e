-- Streamed model calls that did not fail and report no usage, by trace: trace_id, count, amount_pusd.
select
    call.trace_id,
    count(*) as found,
    null::hugeint as amount_pusd
from model_calls as call
inner join span_once as span
    on call.span_row = span.span_row
where not call.has_usage
    and not call.is_error
    and call.told is null
    and regexp_matches(span.attributes, '[._](is_)?stream(ing)?":\s*(true|"[Tt]rue")')
group by call.trace_id
