-- Lets go of what only building needed.
drop schema memory.building cascade
