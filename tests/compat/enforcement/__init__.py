"""The enforcement matrix: real packages, run until a budget trips and once more."""
