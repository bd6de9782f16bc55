"""Processes of Palpite that are forked from one that has loaded everything: starting them cost most of a test.

What a start of its own does besides is for `tests.support.palpite`.
"""

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import IO

from runtime.embedded.process import die_with_parent
from tests.support.palpite import REPOSITORY, environment

_LOADING_SECONDS = 180
"""On a machine that is busy; the first process waits for it."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process; its exit code is negative when a signal ended it."""

    pid: int
    ended: "asyncio.Future[int]"

    def send(self, number: int) -> None:
        """Signal it, if it is there."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self, within: float = 60) -> int:
        async with asyncio.timeout(within):
            return await asyncio.shield(self.ended)


@dataclass(frozen=True, slots=True)
class Nursery:
    """Forks processes, which end with it."""

    orders: socket.socket
    machine: Mapping[str, str] = field(default_factory=dict)

    async def fork(
        self, *program: str, settings: Mapping[str, str], output: IO[bytes], errors: IO[bytes] | None = None
    ) -> Child:
        """A command of palpite and its arguments, or a worker of the tests as `module:function`."""
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = [theirs.fileno(), output.fileno(), (errors or output).fileno()]
            socket.send_fds(self.orders, [b"!"], descriptors)
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            order = {"program": program, "environment": {**environment(settings), **self.machine}}
            writer.write(json.dumps(order).encode() + b"\n")
            async with asyncio.timeout(_LOADING_SECONDS):
                pid = await reader.readline()
            assert pid, "the nursery has ended"
        except BaseException:
            writer.close()
            raise
        return Child(int(pid), asyncio.create_task(_end(reader, writer)))


async def _end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    try:
        return int(await reader.readline())
    finally:
        writer.close()


@contextmanager
def opened_nursery(machine: Mapping[str, str] | None = None) -> Iterator[Nursery]:
    """One more; `machine` is an environment that programs have to be started with."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.nursery"],
                cwd=REPOSITORY,
                env=environment(machine or {}),
                stdin=theirs,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- only prctl between fork and exec
            )
        with process:
            try:
                yield Nursery(ours, machine or {})
            finally:
                process.kill()


@cache
def nursery() -> Nursery:
    """The one of this process; it goes with it."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(opened_nursery())


async def run_forked(*arguments: str, seconds: float = 60.0, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = await nursery().fork(*arguments, settings=settings, output=output, errors=errors)
        try:
            code = await child.wait(seconds)
        finally:
            child.ended.cancel()
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode())
        return subprocess.CompletedProcess(arguments, code, *said)
