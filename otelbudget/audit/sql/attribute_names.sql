-- Names of the attributes that spans carry: name.
select name
from attribute_names
