-- The calls that are asked about.
create or replace table kept_calls (call_row bigint)
