-- Adds the spans of Parquet files of our schema to the source. Input: $files varchar[].
-- A folder named KEY=VALUE above the files is no column of theirs.
insert into source.spans by name
select *
from read_parquet($files, hive_partitioning = false)
