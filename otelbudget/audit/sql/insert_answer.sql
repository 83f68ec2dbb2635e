-- Keeps an answer. Inputs: $question varchar; $answer varchar, JSON.
insert into answers
values ($question, $answer)
