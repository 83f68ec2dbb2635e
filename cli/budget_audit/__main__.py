"""`python -m budget_audit` is `budget-audit`."""

from budget_audit.app import main

main()
