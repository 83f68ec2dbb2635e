"""Reading GenAI spans: which attributes say what a model call used."""
