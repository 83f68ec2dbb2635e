-- Names of the attributes that spans carry: key.
select distinct unnest(json_keys(attributes)) as key
from spans
