"""What sockets leave behind is freed at once: what waits for the garbage collector waits for thousands of sockets."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from live.cohorts import Cohort
from live.seats import Seat
from runtime.kept import KeptProtocol
from runtime.websockets import WebSocketProtocol
from schema.transport.outlet import Outlet
from schema.transport.seated import Seated
from schema.transport.socket import Socket
from tests.support.api import Stream, open_socket
from tests.support.api_world import World
from tests.support.graphql_client import read_operation

HELD = {Cohort, KeptProtocol, Outlet, Seat, Seated, Socket, WebSocketProtocol}


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in HELD)


async def test_a_socket_that_is_closed_or_cut_is_freed_without_the_collector(world: World, address: str) -> None:
    before = alive()
    with without_collector():
        for number in range(6):
            stream = Stream(await open_socket(address))
            await stream.begin()
            board = {"tournamentId": world.tournament_id}
            await stream.subscribe("1", read_operation("leaderboardUpdates"), board=board, first=1 + number)
            await stream.data()
            if number % 2:
                await stream.connection.close()
            else:
                stream.connection.transport.abort()
            await asyncio.sleep(0.2)
        async with asyncio.timeout(10):
            while alive() - before:  # noqa: ASYNC110 the server hears of an end a little later
                await asyncio.sleep(0.05)
