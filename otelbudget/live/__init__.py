"""Stopping in the process: the span processor and the gates around provider SDKs."""
