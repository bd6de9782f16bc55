"""Asks projectors to rebuild what readers found missing or behind, not more than once in a while."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from domain.clock import Clock
from domain.ids import TournamentId
from domain.leaderboard.ports import Projection, ProjectionUnavailable


class Rebuilds:
    """One a process."""

    def __init__(self, projection: Projection, clock: Clock, pause: timedelta) -> None:
        """`pause`: least time between two requests to rebuild one tournament."""
        self._projection = projection
        self._clock = clock
        self._pause = pause
        self._asked_at: dict[TournamentId, datetime] = {}
        self._requests: set[asyncio.Task[None]] = set()

    def ask(self, tournament_id: TournamentId) -> None:
        """Wait for nothing."""
        asked_at, now = self._asked_at.get(tournament_id), self._clock()
        # Since a moment to come, when the clock was put back, nobody has asked.
        if asked_at is not None and timedelta() <= now - asked_at < self._pause:
            return
        self._asked_at[tournament_id] = now
        request = asyncio.create_task(self._request(tournament_id))
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)

    async def _request(self, tournament_id: TournamentId) -> None:
        # The projector compares everything by itself once its server is back.
        with suppress(ProjectionUnavailable):
            await self._projection.request_rebuild(tournament_id)
