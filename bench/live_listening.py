"""Where servers of `bench.live` listen."""

import socket


def events_of(kind: str) -> str:
    """Where a server that knows no boards is told that it is to send."""
    return f"bench:{kind}"


def listening() -> socket.socket:
    """A port that is free, printed for who started the server."""
    found = socket.create_server(("127.0.0.1", 0), backlog=4_096)
    print(found.getsockname()[1], flush=True)
    return found
