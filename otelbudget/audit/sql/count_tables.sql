-- Whether there is a table of a name: one row, 0 or 1. Input: $name varchar.
select count(*)
from duckdb_tables()
where table_name = $name
