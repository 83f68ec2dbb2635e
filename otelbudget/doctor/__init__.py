"""Proof that a stop holds here: calls through the SDKs and instrumentations of this environment."""
