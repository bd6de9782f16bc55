"""A process that has loaded everything and forks the processes of tests, each as if it had just been started.

`python -m tests.support.nursery`: its input is a socket of `tests.support.forked`. An order is a byte with three
descriptors: a socket, and where output and errors go to. By the socket come a program's words and its environment, a
JSON line, and go its process id and its exit code, a line each. Whoever hangs up, or ends, has what he ordered killed.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from runtime.cli import main
from runtime.embedded.process import die_with_parent
from runtime.process import run_process
from schema.build import build_schema

_COMMANDS = ("db", "dead_letters", "executions", "members", "projection", "schedules", "serve", "settlement", "status")
_LOADED = (
    *(f"runtime.commands.{name}" for name in _COMMANDS),
    "runtime.api",
    "runtime.scheduler",
    "tests.support.fault_worker",
    "tests.support.worker_process",
)


def load() -> None:
    """What the processes would load, which is most of what their start costs."""
    for name in _LOADED:
        import_module(name)
    build_schema()
    gc.freeze()


def next_child(orders: socket.socket) -> list[str]:
    """Take orders for ever. Whoever returns from here is a process that was ordered; the answer is its program."""
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, 1, 3)
        if not order:
            sys.exit()
        _bury()
        with_us = die_with_parent(signal.SIGKILL)
        if os.fork() == 0:
            with_us()
            orders.close()
            return _attend(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _bury() -> None:
    """Those who attended what has ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _attend(asked: int, output: int, errors: int) -> list[str]:
    """Fork what is ordered; this process stays beside it to tell how it ends."""
    with socket.socket(fileno=asked) as customer:
        order = json.loads(customer.makefile("rb").readline())
        with_us, (death, life) = die_with_parent(signal.SIGKILL), os.pipe()
        pid = os.fork()
        if pid:
            for descriptor in (output, errors, life):  # a pipe ends with the child
                os.close(descriptor)
            with suppress(BrokenPipeError):
                customer.sendall(b"%d\n" % pid)
                if death not in select.select([customer, death], [], [])[0]:
                    os.kill(pid, signal.SIGKILL)
                customer.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os._exit(0)
    with_us()
    os.close(death)
    return _stand_alone(order, output, errors)


def _stand_alone(order: dict[str, Any], output: int, errors: int) -> list[str]:
    """Nothing is left of the nursery that a start would not have given."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(source, target)
        os.close(source)
    os.environ.clear()
    os.environ.update(order["environment"])
    words: list[str] = order["program"]
    return words


def run(words: Sequence[str]) -> None:
    """A command of palpite, or a worker of the tests: `module:function`."""
    if ":" in words[0]:
        run_process("worker", words[0])
    else:
        sys.argv = ["palpite", *words]
        main()


if __name__ == "__main__":
    load()
    run(next_child(socket.socket(fileno=os.dup(sys.stdin.fileno()))))
