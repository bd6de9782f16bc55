"""Owns whether an address is free to listen on, said in one sentence before anything is started."""

import errno
import socket

from runtime.errors import SetupError


def require_free_port(host: str, port: int) -> None:
    """Fail early and clearly when another program listens there.

    Raises:
        SetupError: the port is taken or forbidden, or the host is not ours.
    """
    try:
        _bind(host, port)
    except OSError as problem:
        raise SetupError(
            f"Port {port} on {host} cannot be used ({(problem.strerror or str(problem)).lower()}): stop the program "
            "that uses it, or choose another port with --port or PALPITE_PORT."
        ) from problem


def free_port(host: str) -> int:
    """A port that nobody listens on now.

    Raises:
        SetupError: the host is not ours.
    """
    return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, ValueError) as problem:  # a name may be none by its form too
        raise _not_ours(host) from problem
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as problem:
            if problem.errno == errno.EADDRNOTAVAIL:
                raise _not_ours(host) from problem
            raise
        probe.listen(1)
        chosen: int = probe.getsockname()[1]
        return chosen


def _not_ours(host: str) -> SetupError:
    return SetupError(f"{host} is no address of this machine: correct PALPITE_HOST.")
