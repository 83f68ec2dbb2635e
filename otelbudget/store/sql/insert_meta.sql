-- Fills the table that says what wrote the store. Inputs: $schema_version integer, $content_key blob.
insert into otelbudget_store values ($schema_version, $content_key)
