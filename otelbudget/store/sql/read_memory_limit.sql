-- One row: the most memory that DuckDB takes by itself, such as "18.8 GiB".
select current_setting('memory_limit')
