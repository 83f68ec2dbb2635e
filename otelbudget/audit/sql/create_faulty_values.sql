-- Attributes that hold a token count which is none, such as NaN.
create or replace table faulty_values (
    span_row bigint,
    attribute varchar
)
