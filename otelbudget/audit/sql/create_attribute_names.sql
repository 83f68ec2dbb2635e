-- Names of the attributes that spans carry: name.
create or replace table attribute_names as
select distinct unnest(json_keys(attributes)) as name
from spans
