-- Forgets a table of usages. A template: $table.
drop table if exists $table
