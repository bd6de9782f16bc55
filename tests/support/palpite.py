"""The program `palpite` as a process: start it, read its lines, end it. Nothing of it outlives the block."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
_OURS = ("PALPITE_", "DATABASE_URL", "REDIS_URL")


@dataclass(slots=True)
class RunningPalpite:
    """A started command, its output so far, and the processes that belong to it."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _queue: "queue.Queue[str | None]" = field(default_factory=queue.Queue)

    def wait_for_line(self, wanted: Callable[[str], bool], seconds: float = 60.0) -> str:
        """The next line that is wanted; all lines so far are in the failure."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError("the line did not come; there were:\n" + "\n".join(self.lines))
            if wanted(line):
                return line

    def wait_until_ready(self) -> str:
        """The address of the API."""
        return self.wait_for_line(lambda line: line.startswith("ready ")).removeprefix("ready ")

    def family(self) -> list[psutil.Process]:
        """The process and everything that it started, the servers too."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def end(self, number: int, seconds: float) -> int:
        """Signal it and give it so many seconds to end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=seconds)

    def read(self) -> None:
        """Collect the output; runs in a thread until the pipe ends."""
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip("\n"))
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)


def command(*arguments: str) -> list[str]:
    """How tests call the program: the code of this checkout, whatever is installed."""
    return [sys.executable, "-m", "runtime.cli", *arguments]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Our environment with these settings of Palpite and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {"COLUMNS": "200", **kept, **settings, "PYTHONUNBUFFERED": "1"}


def run_palpite(*arguments: str, seconds: float = 60.0, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=REPOSITORY,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@contextmanager
def started_palpite(*arguments: str, **settings: str) -> Iterator[RunningPalpite]:
    """Start a command; at the end of the block it and all that it started are killed."""
    with started_program(*command(*arguments)[1:], **settings) as running:
        yield running


@contextmanager
def started_program(*arguments: str, **settings: str) -> Iterator[RunningPalpite]:
    """The same for any Python program of this checkout, such as `-m module`."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = RunningPalpite(process)
    reader = threading.Thread(target=running.read, daemon=True)
    reader.start()
    try:
        yield running
    finally:
        with suppress(psutil.NoSuchProcess):
            kill_all(running.family())
        process.wait()
        reader.join(timeout=10)
        if process.stdout is not None:
            process.stdout.close()


def get_json(url: str) -> tuple[int, dict[str, object]]:
    """Status and body of an answer, a refusal too."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, json.load(problem)


def assert_one_line(done: "subprocess.CompletedProcess[str]", line: str) -> None:
    """A command has ended with one line that says what is wrong."""
    assert (done.returncode, done.stderr) == (2, line + "\n")
    assert done.stdout == ""


def kill_all(processes: list[psutil.Process]) -> None:
    """SIGKILL all, as a power cut would."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)


def survivors(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after so many seconds; zombies do not."""
    deadline = time.monotonic() + seconds
    while True:
        alive = [process for process in processes if _is_alive(process)]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.02)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
