-- Adds the rows of a spool file to the source. Inputs: $file, $separator, $quote and $null
-- varchar, $largest_line bigint (bytes).
insert into source.spans
select *
from read_csv(
    $file,
    auto_detect = false,
    header = false,
    delim = $separator,
    quote = $quote,
    escape = $quote,
    new_line = '\n',
    nullstr = $null,
    allow_quoted_nulls = false,
    max_line_size = $largest_line,
    columns = {
        'trace_id': 'varchar',
        'span_id': 'varchar',
        'parent_span_id': 'varchar',
        'trace_state': 'varchar',
        'flags': 'bigint',
        'name': 'varchar',
        'kind': 'tinyint',
        'start_time_unix_nano': 'bigint',
        'end_time_unix_nano': 'bigint',
        'status_code': 'tinyint',
        'status_message': 'varchar',
        'attributes': 'varchar',
        'dropped_attributes_count': 'bigint',
        'events': 'varchar',
        'dropped_events_count': 'bigint',
        'links': 'varchar',
        'dropped_links_count': 'bigint',
        'scope_name': 'varchar',
        'scope_version': 'varchar',
        'scope_attributes': 'varchar',
        'scope_dropped_attributes_count': 'bigint',
        'scope_schema_url': 'varchar',
        'service_name': 'varchar',
        'resource_attributes': 'varchar',
        'resource_dropped_attributes_count': 'bigint',
        'resource_schema_url': 'varchar'
    }
)
