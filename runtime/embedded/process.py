"""Owns one embedded server process: start it so that it dies with us, find an orphan, stop it in good order."""

import ctypes
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from types import MappingProxyType

import psutil

from runtime.embedded.identity import Identity
from runtime.errors import SetupError

_PR_SET_PDEATHSIG = 1
_LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes on Linux and 103 on macOS
_LOG_LIMIT = 10_000_000
_POLL = 0.01
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def die_with_parent(death_signal: int) -> Callable[[], None]:
    """What a child runs before its program so that the kernel signals it when we are gone, even by SIGKILL (Linux).

    The kernel watches the thread that starts the child: start servers from a thread that lives on.
    """
    parent = os.getpid()
    set_control = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        if set_control is not None:
            set_control(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def start_server(
    command: Sequence[str | Path],
    *,
    identity: Identity,
    cwd: Path,
    log: Path,
    death_signal: int,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C reaches us and not it.

    `variables`: what it finds in its environment besides ours.
    """
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env={**_ENVIRONMENT, **variables},
            user=identity.uid,
            group=identity.gid,
            extra_groups=None if identity.uid is None else [],
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509 -- only prctl between fork and exec
        )


def run_to_end(
    command: Sequence[str | Path], *, identity: Identity, cwd: Path, keep_waiting: Callable[[], bool]
) -> subprocess.CompletedProcess[str]:
    """Run a tool of a server; when `keep_waiting` says no, it and what it started are killed.

    Raises:
        SetupError: it was given up.
    """
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=_ENVIRONMENT,
        user=identity.uid,
        group=identity.gid,
        extra_groups=None if identity.uid is None else [],
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- only prctl between fork and exec
    ) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=_POLL * 5)
                return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
            except subprocess.TimeoutExpired:
                if not keep_waiting():
                    os.killpg(process.pid, signal.SIGKILL)
                    raise SetupError("The start was given up.") from None


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a cheap condition; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def stop_process(process: psutil.Process, steps: Sequence[tuple[int, float]]) -> None:
    """Send each signal and give it its seconds; the last resort is SIGKILL."""
    for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        if _gone(process, seconds):
            return


def find_orphan(pid_file: Path, *, name: str, folder: Path) -> psutil.Process | None:
    """The running server that a dead Palpite left behind in this folder, if its pid file still names one."""
    try:
        process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
        ours = process.name() == name and Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return None
    return process if ours else None


def socket_folder(folder: Path, socket_name: str, identity: Identity) -> Path:
    """The folder itself, or a short private one of our user when the path is too long for a socket."""
    if len(os.fsencode(folder / socket_name)) <= _LONGEST_SOCKET_PATH:
        return folder
    owner = os.geteuid() if identity.uid is None else identity.uid
    short = Path(gettempdir()) / f"palpite-{owner}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
        if identity.uid is not None and identity.gid is not None:
            os.chown(short, identity.uid, identity.gid)
    found = short.lstat()
    if found.st_uid != owner or found.st_mode & 0o077 or short.is_symlink():
        raise SetupError(f"{short} belongs to somebody else; remove it or choose a shorter PALPITE_DATA.")
    return short


def last_line(log: Path) -> str:
    """The end of a server's log, for an error message."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def _gone(process: psutil.Process, seconds: float) -> bool:
    def ended() -> bool:
        try:
            with suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return wait_until(ended, seconds)
