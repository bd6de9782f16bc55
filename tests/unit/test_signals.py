"""What a process that stops waits for is named, and left behind after a while."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from runtime.signals import let_go
from tests.support.palpite import started_program

HELD = """
import asyncio, runtime.signals, threading
runtime.signals.LONGEST_STOP = 1.0

async def main():
    stop = runtime.signals.stop_on_signals()
    print("ready", flush=True)
    await stop.wait()
    threading.Thread(target=threading.Event().wait, name="holder").start()

asyncio.run(main())
"""


async def _at_once() -> None:
    pass


async def _fails() -> None:
    raise ConnectionError("gone")


async def _never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("close", "said"),
    [(_at_once, []), (_fails, ["stop_failed"]), (_never, ["stop_waits", "stop_left_behind"])],
)
async def test_a_part_is_closed_or_named(close: Callable[[], Awaitable[None]], said: list[str]) -> None:
    with capture_logs() as lines:
        await let_go("the part", close, seconds=0.05)
    assert [(line["event"], line["part"]) for line in lines] == [(event, "the part") for event in said]


def test_a_process_that_a_thread_holds_says_where_it_stands_and_ends() -> None:
    with started_program("-c", HELD) as running:
        running.wait_for_line(lambda line: line == "ready")
        assert running.end(signal.SIGTERM, 30) == 1
    assert any("Thread" in line for line in running.lines)
