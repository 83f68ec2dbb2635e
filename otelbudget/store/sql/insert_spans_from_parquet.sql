-- Adds the spans of Parquet files of our schema. Input: $files varchar[].
insert into spans by name
select *
from read_parquet($files)
