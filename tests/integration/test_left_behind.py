"""What clients leave behind is freed at once: what waits for the garbage collector waits for thousands of them."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from live.cohort import Cohort
from live.seats import Seat
from resolvers.loaders import Loaders
from runtime.kept import KeptProtocol
from runtime.websockets import WebSocketProtocol
from schema.context import ApiContext
from schema.transport.executor import NativeExecutor
from schema.transport.outlet import Outlet
from schema.transport.seated import Seated
from schema.transport.socket import Socket
from schema.transport.sse import EventStream
from schema.transport.wires import AsgiWire
from tests.support.api import Stream, open_socket
from tests.support.api_world import World
from tests.support.graphql_client import GraphQLClient, read_operation
from tests.support.sse import event_stream

BOARDS, MATCHES = read_operation("leaderboardUpdates"), read_operation("matchUpdates")
HELD = {
    *(ApiContext, AsgiWire, Cohort, EventStream, KeptProtocol, Loaders, NativeExecutor, Outlet),
    *(Seat, Seated, Socket, WebSocketProtocol),
}


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


async def until_no_more_than(before: Counter[str]) -> None:
    """The server hears of an end a little later."""
    async with asyncio.timeout(30):
        while alive() - before:  # noqa: ASYNC110 objects tell nobody that they are freed
            await asyncio.sleep(0.05)


async def test_a_socket_that_is_closed_or_cut_is_freed_without_the_collector(world: World, address: str) -> None:
    board = {"tournamentId": world.tournament_id}
    with without_collector():
        before = alive()
        for number in range(6):
            stream = Stream(await open_socket(address))
            await stream.begin()
            await stream.subscribe("1", BOARDS, board=board, first=1 + number)
            await stream.data()
            if number % 2:
                await stream.connection.close()
            else:
                stream.connection.transport.abort()
            await asyncio.sleep(0.2)
        await until_no_more_than(before)


async def test_events_and_answers_are_freed_without_the_collector(world: World, address: str) -> None:
    cup = world.tournament_id
    async with GraphQLClient(f"http://{address}") as client:
        await client.operation("liveScoreboard", id=cup)
        with without_collector():
            before = alive()
            for document, variables in (
                (BOARDS, {"board": {"tournamentId": cup}}),
                (MATCHES, {"scope": {"liveOfTournamentId": cup}}),
            ):
                async with event_stream(address, document, variables) as events:
                    await events.data()
                await client.operation("tournament", id=cup)
            await until_no_more_than(before)
