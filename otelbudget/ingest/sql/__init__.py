"""The SQL of this room, one statement a file."""
