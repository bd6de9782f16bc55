"""Clients that mirror a board over a websocket by the contract's rules, and come back whenever they are cut."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException
from websockets.typing import Subprotocol

from tests.support.graphql_client import read_operation

PROTOCOL = Subprotocol("graphql-transport-ws")
SILENCE_SECONDS = 40
"""A server that says nothing for so long, not even a heartbeat, counts as gone."""


class BoardClient:
    """One screen: its rows are those of the board, or it knows that they are not."""

    def __init__(self, board: dict[str, str], address: Callable[[], str], token: str | None = None) -> None:
        """`board`: a BoardInput; `address`: where to connect the next time, ws://..."""
        self.rows: dict[str, dict[str, Any]] = {}
        self.seen: Counter[str] = Counter()
        self._board = board
        self._init = {"authorization": f"Bearer {token}"} if token else {}
        self._address = address
        self.position: dict[str, Any] | None = None
        """Where it stands, for `after`."""
        self._task = asyncio.create_task(self._run())

    def board(self) -> list[dict[str, Any]]:
        """The rows in order, without the version that each was computed at."""
        return plain_rows(self.rows.values())

    @property
    def version(self) -> int:
        """The version that is shown; -1 before there is one."""
        return self.position["version"] if self.position is not None else -1

    def check(self) -> None:
        """Fail if it met what the contract excludes."""
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            try:
                async with connect(
                    self._address(), subprotocols=[PROTOCOL], open_timeout=20, close_timeout=1
                ) as socket:
                    await self._follow(socket)
            except ConnectionClosed as closed:
                self.seen[f"closed {closed.rcvd.code if closed.rcvd else 1006}"] += 1
            except (OSError, WebSocketException, InvalidHandshake, TimeoutError, EOFError):
                pass
            self.seen["lost"] += 1
            await asyncio.sleep(random.uniform(0.05, 0.4))

    async def _follow(self, socket: Any) -> None:
        await socket.send(orjson.dumps({"type": "connection_init", "payload": self._init}).decode())
        variables = {"board": self._board, "after": self.position}
        payload = {"query": read_operation("leaderboardUpdates"), "variables": variables}
        while True:
            async with asyncio.timeout(SILENCE_SECONDS):
                message = orjson.loads(await socket.recv())
            match message["type"]:
                case "connection_ack":
                    await socket.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": payload}).decode())
                case "ping":
                    await socket.send(orjson.dumps({"type": "pong"}).decode())
                case "next":
                    assert not message["payload"].get("errors"), message
                    self._apply(message["payload"]["data"]["leaderboardUpdates"])
                case "error":
                    codes = {error["extensions"]["code"] for error in message["payload"]}
                    assert codes == {"UNAVAILABLE"}, message
                    self.seen["unavailable"] += 1
                    return
                case "complete":
                    return

    def _apply(self, event: dict[str, Any]) -> None:
        kind, version = event["__typename"], event["version"]
        self.seen[kind] += 1
        before = self.position
        match kind:
            case "LeaderboardSnapshot":
                self.rows = {row["id"]: row for row in event["rows"]}
            case "LeaderboardDelta":
                assert before is not None
                assert event["fromVersion"] == before["version"], "a gap that nobody announced"
                assert version > before["version"]
                self.rows |= {row["id"]: row for row in event["rows"]}
                for row_id in event["removedRowIds"]:
                    del self.rows[row_id]
            case "Heartbeat":
                assert before is not None
                assert version == before["version"], "the server believes that this client has something else"
                return
            case "Resync":
                self.seen[event["reason"]] += 1
                return
        self.position = {"epoch": event["epoch"], "version": version}


def plain_rows(rows: Any) -> list[dict[str, Any]]:
    """Rows by position; the version of a row alone makes none differ."""
    found = [{name: value for name, value in row.items() if name != "version"} for row in rows]
    return sorted(found, key=lambda row: row["position"])
