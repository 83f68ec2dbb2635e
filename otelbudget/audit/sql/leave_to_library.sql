-- Takes the spans that the library reads itself out of those that SQL reads.
update memory.building.read_spans
set is_call = false
where is_call
    and span_row in (
        select span_row
        from memory.building.library_spans
        where reads_span
    )
