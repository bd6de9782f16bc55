"""Owns a whole Palpite on one machine: embedded servers, migrations and the three processes of `palpite up`."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from runtime.embedded.servers import EmbeddedServers
from runtime.errors import SetupError
from runtime.ports import free_port, require_free_port
from runtime.settings import Settings
from runtime.supervisor import Say, Supervisor, child_environment, copy_lines, palpite_command, start_program

PROCESSES = ("serve", "worker", "scheduler")
# How long a process waits for the servers and migrations that start beside it.
_START_WAIT = 120.0
_WATCH_SECONDS = 0.5

_Result = TypeVar("_Result")


class Installation:
    """Start it, wait until it is ready, let it run, stop it. Used by `palpite up` and `palpite demo`."""

    def __init__(self, settings: Settings, say: Say) -> None:
        """`say` gets every line of output with the name of the process that wrote it."""
        port = settings.port or free_port(settings.host)
        self._asked = settings.changed(port=port, data=settings.data.absolute())
        self._say = say
        self._servers = EmbeddedServers(self._asked)
        # The kernel ties a server's life to the thread that starts it, and a start may take long: a thread of its own.
        self._server_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="servers")
        self._supervisor: Supervisor | None = None
        self.settings = self._asked

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        host = self.settings.host
        shown = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 -- not an address to open
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.settings.port}"

    async def start(self) -> None:
        """Start everything and come back when /readyz says yes.

        Raises:
            SetupError: something that the user can put right; `stop` must be called as after any other end.
        """
        self._servers.claim()
        require_free_port(self._asked.host, self._asked.port)
        self.settings = self._servers.settings()
        environment = child_environment(self._child_settings().environment())
        if not self._servers.replace_all:
            await self._in_server_thread(self._servers.start)
            await self._run_command(["check"], environment, "A server cannot be used; see the line above.")
            await self._migrate(environment)
        # With servers of our own everything starts at once: the processes load their code while the servers come up.
        self._supervisor = Supervisor(PROCESSES, environment, self._say, stop_seconds=self.settings.stop_seconds)
        self._supervisor.start()
        steps = [self._report_problem(self._supervisor), self._wait_until_ready()]
        if self._servers.replace_all:
            steps.insert(0, self._start_servers_and_migrate(environment))
        await _until_last(steps)
        self._supervisor.mark_ready()

    async def watch(self) -> None:
        """Start embedded servers again when they die; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                for name in await self._in_server_thread(self._servers.revive):
                    self._say("up", f"{name} had ended and was started again")
            except SetupError as problem:
                self._say("up", str(problem))

    async def stop(self) -> None:
        """Stop everything within seconds, in the order that loses nothing."""
        self._servers.give_up_waiting()
        if self._supervisor is not None:
            await self._supervisor.stop()
        await self._in_server_thread(self._servers.stop)
        self._server_thread.shutdown(wait=False)

    def _child_settings(self) -> Settings:
        # The children write into a pipe, but a person reads it at our end.
        as_text = "json" if self.settings.logs_as_json(to_terminal=True) else "text"
        wait = _START_WAIT if self._servers.replace_all else self.settings.start_wait_seconds
        return self.settings.changed(log_format=as_text, start_wait_seconds=wait)

    async def _start_servers_and_migrate(self, environment: dict[str, str]) -> None:
        await self._in_server_thread(self._servers.start)
        await self._migrate(environment)

    async def _migrate(self, environment: dict[str, str]) -> None:
        await self._run_command(["db", "upgrade"], environment, "The database cannot be migrated; see the line above.")

    async def _run_command(self, arguments: list[str], environment: dict[str, str], failure: str) -> None:
        process = await start_program(palpite_command(*arguments), environment)
        await copy_lines(process, arguments[0], self._say)
        if await process.wait() != 0:
            raise SetupError(failure)

    async def _report_problem(self, supervisor: Supervisor) -> None:
        raise await supervisor.problem()

    async def _wait_until_ready(self) -> None:
        while not await self._answers_ready():  # noqa: ASYNC110 -- another process has no event of ours
            await asyncio.sleep(0.05)

    async def _answers_ready(self) -> bool:
        host = self.address.removeprefix("http://").rsplit(":", 1)[0].strip("[]")
        try:
            reader, writer = await asyncio.open_connection(host, self.settings.port)
        except OSError:
            return False
        try:
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status = await asyncio.wait_for(reader.readline(), timeout=5)
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
        return b" 200 " in status

    async def _in_server_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._server_thread, work)


async def _until_last(steps: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run steps together until the last one is done, or one of them fails; then end them all."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        waiting = set(tasks)
        while not tasks[-1].done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
