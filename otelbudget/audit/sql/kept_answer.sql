-- The answer that is kept to a question, as JSON: no row where none is. Input: $question varchar.
select answer
from answers
where question = $question
limit 1
