"""Clients that mean harm: what they hold of a process is bounded, and they are let go."""

import asyncio
import logging
import socket
from pathlib import Path

import orjson
import psutil
import pytest
from sqlalchemy import update

from domain.ids import TournamentId
from domain.member.tables import members
from domain.tournament.store import raise_versions
from runtime.database import PostgresDatabase
from schema.ids import tournament_id
from tests.support.api import running_api, served
from tests.support.api_world import make_world

pytestmark = pytest.mark.timeout(300)

ROWS = " ".join(f"r{number}: rows {{ id points member {{ id nickName }} }}" for number in range(9))
LARGE = f"""subscription ($board: BoardInput!) {{
  leaderboardUpdates(board: $board, first: 100) {{
    ... on LeaderboardSnapshot {{ {ROWS} }}
    ... on LeaderboardDelta {{ {ROWS} }}
  }}
}}"""


async def test_event_streams_that_nobody_reads_are_cut_and_hold_little(
    database_url: str, valkey_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_api(database_url, valkey_url, tmp_path, socket_blocked_seconds=1) as api:
        world = await make_world(api, crowd=100)
        board = {"board": {"tournamentId": world.tournament_id}}
        async with served(api) as address:
            clients = [await _asking(address, LARGE, board) for _ in range(5)]
            events = 0
            async with asyncio.timeout(60):
                while events == 0 or _connections(address):
                    events += 1
                    await _rename_all(api.database, tournament_id(world.tournament_id), f"name {events}")
                    await asyncio.sleep(0.3)
            assert events < 20
        for client in clients:
            client.close()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def _asking(address: str, document: str, variables: object) -> socket.socket:
    """A connection that has asked for a stream, and takes little of it."""
    host, port = address.split(":")
    client, loop = socket.socket(), asyncio.get_running_loop()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setblocking(False)
    await loop.sock_connect(client, (host, int(port)))
    body = orjson.dumps({"query": document, "variables": variables})
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    await loop.sock_sendall(client, head.encode() + body)
    return client


def _connections(address: str) -> int:
    """Those that the server still has open."""
    port = int(address.split(":")[1])
    found = psutil.Process().net_connections("tcp")
    return sum(one.laddr[1] == port and one.status != psutil.CONN_LISTEN for one in found)


async def _rename_all(database: PostgresDatabase, moved: TournamentId | None, name: str) -> None:
    assert moved is not None
    async with database.begin() as connection:
        await connection.execute(update(members).values(nick_name=name))
        await raise_versions(connection, moved, board=True)
