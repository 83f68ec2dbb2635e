-- Models that are known to cost nothing, by when: [from_ns, until_ns). No provider or model is ''.
create or replace temp table free_models (
    provider varchar,
    model varchar,
    from_ns bigint,
    until_ns bigint
)
