-- Makes the one-row table that says what wrote the store.
-- content_key: secret of the hashes that stand for message content.
create table if not exists otelbudget_store (
    schema_version integer not null,
    content_key blob not null
)
