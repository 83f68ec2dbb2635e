-- Answers to what was asked about all calls: question, and answer as JSON.
create table if not exists answers (
    question varchar,
    answer varchar
)
