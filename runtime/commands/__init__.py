"""One module a command; the function is the command, its parameters are the options."""
