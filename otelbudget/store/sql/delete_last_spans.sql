-- Removes the spans that were added last. Input: $count bigint.
delete from source.spans
where rowid in (
    select rowid
    from source.spans
    order by rowid desc
    limit $count
)
