"""A DuckDB file of spans, or one in memory: made, checked, filled and asked here."""
