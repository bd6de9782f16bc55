"""Owns whether an address is free to listen on, said in one sentence before anything is started."""

import socket

from runtime.errors import SetupError


def require_free_port(host: str, port: int) -> None:
    """Fail early and clearly when another program listens there.

    Raises:
        SetupError: the port is taken, forbidden, or the host is not ours.
    """
    try:
        _bind(host, port)
    except OSError as problem:
        raise SetupError(
            f"Port {port} on {host} cannot be used ({(problem.strerror or str(problem)).lower()}): stop the program "
            "that uses it, or choose another port with --port or PALPITE_PORT."
        ) from problem


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
        chosen: int = probe.getsockname()[1]
        return chosen
