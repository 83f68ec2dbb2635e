"""Questions to recorded traces: what was spent, what limits would have done, which to set."""
