"""Tokens to money: list prices by provider, model and day, in integers of pico-USD."""
