"""The commands of `palpite`, each in a process forked from one that has loaded them: starting it cost most of a test.

What a start of its own does besides is for `tests.support.palpite`.
"""

import asyncio
import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from socketserver import ForkingMixIn, StreamRequestHandler, UnixStreamServer
from typing import Any

from runtime.cli import main
from runtime.embedded.process import die_with_parent
from tests.support.palpite import REPOSITORY, environment
from tests.support.servers import temporary_data

_COMMANDS = ("db", "dead_letters", "executions", "projection", "schedules", "settlement", "status")
_LONGEST_ANSWER = 2**24


async def run_forked(*arguments: str, seconds: float = 60.0, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    reader, writer = await asyncio.open_unix_connection(_nursery(), limit=_LONGEST_ANSWER)
    try:
        writer.write(json.dumps({"arguments": arguments, "environment": environment(settings)}).encode() + b"\n")
        async with asyncio.timeout(seconds):
            return subprocess.CompletedProcess(arguments, **json.loads(await reader.readline()))
    finally:
        writer.close()


@cache
def _nursery() -> str:
    """The socket of the process that forks; it goes with this one."""
    stack = ExitStack()
    address = str(stack.enter_context(temporary_data()) / "nursery.sock")
    nursery = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forked", address],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- only prctl between fork and exec
    )
    atexit.register(stack.close)
    stack.enter_context(nursery)
    stack.callback(nursery.kill)
    assert nursery.stdout is not None
    assert nursery.stdout.readline() == b"ready\n"
    return address


class _Nursery(ForkingMixIn, UnixStreamServer):
    """Each order is taken by a process of its own."""

    request_queue_size = 100


class _Order(StreamRequestHandler):
    """Runs one command, and answers what it printed and how it ended."""

    def handle(self) -> None:
        order = json.loads(self.rfile.readline())
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            child = os.fork()
            if child == 0:
                _become(order, output.fileno(), errors.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            for file in (output, errors):
                file.seek(0)
            answer = {"returncode": code, "stdout": output.read(), "stderr": errors.read()}
        with suppress(BrokenPipeError):  # whoever asked has given up
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def _become(order: dict[str, Any], output: int, errors: int) -> None:
    """The program with these arguments; never returns."""
    code: object = 1
    try:
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["palpite", *order["arguments"]]
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 the end of a process, not of the nursery's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    for name in _COMMANDS:
        import_module(f"runtime.commands.{name}")
    with _Nursery(sys.argv[1], _Order) as nursery:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        nursery.serve_forever()
