"""What a person who runs Palpite can put right: shown as one line, exit code 2, never as a traceback."""


class SetupError(Exception):
    """A wrong setting, an unreachable server, a port in use: the message says what to do."""
