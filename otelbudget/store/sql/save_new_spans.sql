-- Adds the spans of the source to the attached store, except deliveries that it has in just this form.
insert into store.spans by name
select *
from source.spans
where rowid not in (
    select added.rowid
    from source.spans as added
    inner join store.spans as known
        on added.trace_id = known.trace_id and added.span_id = known.span_id
    where added is not distinct from known
)
