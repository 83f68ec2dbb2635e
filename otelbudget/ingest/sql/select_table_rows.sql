-- All rows of the Parquet file that is being read, with its own columns, in its own order.
select *
from table_rows;
