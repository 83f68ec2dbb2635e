-- Says in the attached cache what it was made of and by. Input: $stamp varchar.
create or replace table cache.otelbudget_stamp as
select $stamp::varchar as stamp
