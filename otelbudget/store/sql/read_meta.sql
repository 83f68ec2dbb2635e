-- One row: schema_version integer, content_key blob.
select
    schema_version,
    content_key
from otelbudget_store
