"""Where servers of `bench.live` listen."""

import socket

EVENTS = "bench:events"
"""Where servers that know no boards are told that they are to send."""


def listening() -> socket.socket:
    """A port that is free, printed for who started the server."""
    found = socket.create_server(("127.0.0.1", 0), backlog=4_096)
    print(found.getsockname()[1], flush=True)
    return found
