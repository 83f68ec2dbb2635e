"""What may be spent, and the engine that decides."""
