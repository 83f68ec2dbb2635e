-- Ended spans that were delivered again with other attributes, by trace: trace_id, count, amount_pusd.
select
    again.trace_id,
    count(*) as deliveries,
    null::hugeint as amount_pusd
from repeated_deliveries as repeated
inner join spans as again
    on repeated.span_row = again.rowid
inner join span_once as counted
    on again.trace_id = counted.trace_id and again.span_id = counted.span_id
where again.end_time_unix_nano is not null
    and again.attributes <> counted.attributes
group by again.trace_id
