"""Owns what a process does when it is asked to stop: it says what it waits for, and waits for nothing without end."""

import asyncio
import faulthandler
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import structlog

LONGEST_STOP = 30.0
"""Seconds from the signal to the end, whatever holds the process; what gives it a signal kills it then as a rule."""
_LONGEST_PART = 3.0
_TOLD_AFTER = 1.0

_log = structlog.get_logger(__name__)


def stop_on_signals() -> asyncio.Event:
    """An event that is set by SIGTERM and SIGINT; call it inside the event loop."""
    stop = asyncio.Event()
    call_on_signals(lambda _: stop.set())
    return stop


def call_on_signals(stop: Callable[[int], object]) -> None:
    """Have SIGTERM and SIGINT call what stops the process, with their number; call it inside the event loop.

    A process that still runs long after that, in a thread perhaps, prints where it stands and ends with exit code 1.
    """

    def told(number: int) -> None:
        faulthandler.dump_traceback_later(LONGEST_STOP, exit=True)
        stop(number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)


def at_the_end(stack: AsyncExitStack, part: str, close: Callable[[], Awaitable[object]]) -> None:
    """Have a part of the process closed with the stack, as `let_go` does."""
    stack.push_async_callback(let_go, part, close)


async def let_go(part: str, close: Callable[[], Awaitable[object]], seconds: float = _LONGEST_PART) -> None:
    """Close a part of a process that stops. One that takes long is named, and left behind after so many seconds.

    A server may be silent by then, and a driver that parts in good order waits for its answer.
    """
    closing = asyncio.ensure_future(close())
    await asyncio.wait([closing], timeout=min(_TOLD_AFTER, seconds))
    if not closing.done():
        _log.warning("stop_waits", part=part)
        await asyncio.wait([closing], timeout=max(seconds - _TOLD_AFTER, 0))
    if not closing.done():
        closing.cancel()
        _log.warning("stop_left_behind", part=part, seconds=seconds)
    elif not closing.cancelled() and (problem := closing.exception()):
        _log.warning("stop_failed", part=part, error=repr(problem))
