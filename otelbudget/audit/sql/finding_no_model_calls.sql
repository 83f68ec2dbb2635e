-- Whether there are spans and none of all is a model call: how many spans there are then, and the names
-- of up to eight attributes of the first ones.
with names as (
    select distinct unnest(json_keys(attributes)) as name
    from (
        select attributes
        from spans
        where attributes <> '{}'
        limit 1000
    )
)
select
    (select count(*) from spans) as spans,
    (select list(name order by name)[:8] from names) as names
where not exists (select 1 from model_calls) and exists (select 1 from spans)
