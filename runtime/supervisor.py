"""Owns the processes of `palpite up`: start, merge their output, start again what ends, stop all together."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from runtime.embedded.process import die_with_parent
from runtime.errors import SetupError

# (name of the process, one line of its output)
Say = Callable[[str, str], None]

_SETUP_PROBLEM = 2  # the exit code of a SetupError
_LONGEST_LINE = 1_000_000


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a process is started again, in seconds."""

    first: float = 0.2
    longest: float = 8.0
    forgiven_after: float = 30.0

    def delay(self, failures: int) -> float:
        """The wait after this many ends in a row."""
        return min(self.first * 2.0**failures, self.longest)


@dataclass(slots=True)
class _Child:
    name: str
    process: Process | None = None
    starts: int = 0
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Supervisor:
    """Keeps one process of each name alive until it is asked to stop."""

    def __init__(
        self,
        names: Sequence[str],
        environment: Mapping[str, str],
        say: Say,
        *,
        stop_seconds: float,
        backoff: Backoff | None = None,
        command: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        """`names` are commands of palpite; `stop_seconds` is what they have between SIGTERM and SIGKILL."""
        self._children = [_Child(name) for name in names]
        self._environment = dict(environment)
        self._say = say
        self._stop_seconds = stop_seconds
        self._backoff = backoff or Backoff()
        self._command = command or palpite_command
        self._stopping = asyncio.Event()
        self._is_ready = False
        self._problem: asyncio.Future[SetupError] | None = None

    def start(self) -> None:
        """Start all processes; call it inside the event loop."""
        self._problem = asyncio.get_running_loop().create_future()
        for child in self._children:
            child.task = asyncio.create_task(self._keep_alive(child), name=f"keep {child.name}")

    def mark_ready(self) -> None:
        """From now on a process that ends with a wrong setting is started again like any other."""
        self._is_ready = True

    async def problem(self) -> SetupError:
        """The first wrong setting that a process reported before we were ready; waits for ever without one."""
        if self._problem is None:
            raise RuntimeError("start() comes first")
        return await asyncio.shield(self._problem)

    async def stop(self) -> None:
        """SIGTERM to all, then SIGKILL to those that do not end in time."""
        self._stopping.set()
        for child in self._children:
            _signal(child, signal.SIGTERM)
        tasks = [child.task for child in self._children if child.task is not None]
        _, pending = await asyncio.wait(tasks, timeout=self._stop_seconds) if tasks else (set(), set())
        if pending:
            for child in self._children:
                if _signal(child, signal.SIGKILL):
                    self._say("up", f"{child.name} has not ended within {self._stop_seconds:g} s and is killed")
            await asyncio.wait(pending, timeout=1.0)
        for task in pending:
            task.cancel()

    async def _keep_alive(self, child: _Child) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run(child)
            if self._stopping.is_set():
                return
            if code == _SETUP_PROBLEM and not self._is_ready and self._problem is not None:
                if not self._problem.done():
                    self._problem.set_result(SetupError(f"`palpite {child.name}` could not start; see its line above."))
                return
            failures = 0 if time.monotonic() - started > self._backoff.forgiven_after else failures
            delay = self._backoff.delay(failures)
            failures += 1
            self._say("up", f"{child.name} ended ({_how(code)}); starting it again in {delay:.1f} s")
            await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _run(self, child: _Child) -> int:
        child.process = await start_program(self._command(child.name), self._environment)
        child.starts += 1
        if self._stopping.is_set():  # stop() came while it was being started
            _signal(child, signal.SIGTERM)
        await copy_lines(child.process, child.name, self._say)
        return await child.process.wait()


def palpite_command(*arguments: str) -> list[str]:
    """How this very program is called again."""
    return [sys.executable, "-m", "runtime.cli", *arguments]


async def start_program(command: Sequence[str], environment: Mapping[str, str]) -> Process:
    """Start a program with its output in one pipe; the kernel kills it when we die."""
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env=dict(environment),
        limit=_LONGEST_LINE,
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )


async def copy_lines(process: Process, name: str, say: Say) -> None:
    """Pass on each line of a process until its pipe ends."""
    if process.stdout is None:
        return
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:  # longer than the limit: what is left of it follows as lines of its own
            continue
        if not line:
            return
        say(name, line.decode(errors="replace").rstrip("\r\n"))


def child_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Our environment with the settings of the children over it."""
    return {**os.environ, **settings, "PYTHONUNBUFFERED": "1"}


def _signal(child: _Child, number: int) -> bool:
    """Whether it was there to be told."""
    if child.process is None or child.process.returncode is not None:
        return False
    with suppress(ProcessLookupError):
        child.process.send_signal(number)
    return True


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
