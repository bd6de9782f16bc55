"""The supervisor: waits that grow and are forgiven, and processes that do not want to end."""

import asyncio
import sys

import psutil

from runtime.supervisor import Backoff, Supervisor


class Output:
    """Lines of processes, to wait for."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def say(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._changed.set()

    async def wait_for(self, name: str, line: str, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while self.lines.count((name, line)) < times:
                self._changed.clear()
                await self._changed.wait()


def _supervisor(program: str, output: Output, **options: float) -> Supervisor:
    return Supervisor(
        ["one"],
        {},
        output.say,
        stop_seconds=options.get("stop_seconds", 2.0),
        backoff=Backoff(first=options.get("first", 0.01), longest=0.02),
        command=lambda _: [sys.executable, "-c", program],
    )


def test_waits_double_up_to_a_limit_below_ten_seconds() -> None:
    backoff = Backoff()

    assert [backoff.delay(failures) for failures in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0, 8.0]


async def test_a_process_that_ends_is_started_again() -> None:
    output = Output()
    supervisor = _supervisor("print('hello'); raise SystemExit(3)", output)
    supervisor.start()
    await output.wait_for("one", "hello", times=3)
    await supervisor.stop()

    assert ("up", "one ended (exit code 3); starting it again in 0.0 s") in output.lines


async def test_a_process_that_ignores_sigterm_is_killed() -> None:
    output = Output()
    program = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True)\n"
    supervisor = _supervisor(program + "print('ready', flush=True); time.sleep(60)", output, stop_seconds=0.2)
    supervisor.start()
    await output.wait_for("one", "ready")
    process = psutil.Process(int(output.lines[0][1]))
    await supervisor.stop()

    assert not process.is_running()
    assert output.lines[-1] == ("up", "one has not ended within 0.2 s and is killed")


async def test_a_process_that_ends_on_sigterm_is_not_started_again() -> None:
    output = Output()
    program = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('ready', flush=True)\n"
    supervisor = _supervisor(program + "signal.pause()", output)
    supervisor.start()
    await output.wait_for("one", "ready")
    await supervisor.stop()

    assert output.lines == [("one", "ready")]


async def test_stop_does_not_wait_for_a_pause() -> None:
    output = Output()
    supervisor = Supervisor(
        ["one"],
        {},
        output.say,
        stop_seconds=20,
        backoff=Backoff(first=15, longest=15),
        command=lambda _: [sys.executable, "-c", "raise SystemExit(1)"],
    )
    supervisor.start()
    await output.wait_for("up", "one ended (exit code 1); starting it again in 15.0 s")
    async with asyncio.timeout(5):
        await supervisor.stop()


async def test_a_wrong_setting_before_all_is_ready_is_reported_and_not_tried_again() -> None:
    output = Output()
    supervisor = _supervisor("print('palpite: no'); raise SystemExit(2)", output)
    supervisor.start()
    async with asyncio.timeout(20):
        problem = await supervisor.problem()
    await supervisor.stop()

    assert str(problem) == "`palpite one` could not start; see its line above."
    assert output.lines == [("one", "palpite: no")]


async def test_a_wrong_setting_after_all_was_ready_is_tried_again() -> None:
    output = Output()
    supervisor = _supervisor("print('palpite: no'); raise SystemExit(2)", output)
    supervisor.mark_ready()
    supervisor.start()
    await output.wait_for("one", "palpite: no", times=2)
    await supervisor.stop()


async def test_a_line_that_is_too_long_stops_nothing() -> None:
    output = Output()
    program = "import time; print('x' * 3_000_000); print('after', flush=True); time.sleep(60)"
    supervisor = _supervisor(program, output)
    supervisor.start()
    await output.wait_for("one", "after")
    await supervisor.stop()
