"""The `budget-audit` command line: questions to recorded traces."""
