-- One row: a name for the spans of the source, the same for the same ones in any order.
select printf('%d-%016x', count(*), coalesce(bit_xor(hash(spans)), 0))
from source.main.spans
