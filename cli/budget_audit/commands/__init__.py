"""One module and one function per command, loaded when the command is used."""
