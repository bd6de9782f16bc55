"""The projector: writes boards into the projection whenever their versions move, and heals it when it lost any.

There is one path for a settlement, a correction, a joiner and a rebuild: the whole board, from one snapshot.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from uuid import UUID

from domain.database import Database
from domain.execution.run import Run
from domain.ids import TournamentId
from domain.installation.service import Restores, begin_epoch
from domain.leaderboard import store
from domain.leaderboard.loading import BoardLoader
from domain.leaderboard.model import BoardKey
from domain.leaderboard.ports import BoardTicks, Projection, ProjectionUnavailable
from domain.leaderboard.score_table import Stamp
from domain.tournament.store import raise_versions

_log = logging.getLogger(__name__)


async def project(
    database: Database,
    projection: Projection,
    tournament_id: TournamentId,
    loader: BoardLoader | None = None,
    held: Stamp | None = None,
    has_moved: Callable[[], bool] = lambda: False,
    *,
    renew: bool = False,
) -> int | None:
    """Write a tournament's board as it is now; the answer is its version, None when there is no such tournament.

    `loader`: of who calls again and again. `held` and `renew`: see `Projection.write`. `has_moved`: see
    `BoardLoader.load`.

    Raises ProjectionUnavailable.
    """
    loaded = await (loader or BoardLoader(database)).load(tournament_id, held, has_moved)
    if loaded is None:
        return None
    await projection.write(tournament_id, loaded.table, loaded.ranking, held=held, renew=renew)
    return loaded.table.stamp.board_version


async def rebuild_projection(run: Run, projection: Projection) -> None:
    """Write the boards of the target's tournament, or of all that are not over, whether they have moved or not."""
    target = run.execution.target.tournament_id
    async with run.database.read() as connection:
        tournaments = [target] if target else list(await store.boards_in_play(connection))
    async with run.step("Rebuild boards", total=len(tournaments)) as step:
        for tournament_id in tournaments:
            if await rewrite(run, projection, tournament_id):
                step.updated += 1


async def rewrite(run: Run, projection: Projection, tournament_id: TournamentId) -> bool:
    """Write a board whatever is there, as a new version; False when there is no such tournament.

    What processes made of a wrong board goes by its version, and what they keep for later ones by its digest.

    Raises ProjectionUnavailable.
    """
    await projection.forget(tournament_id)
    async with run.begin() as connection:
        await raise_versions(connection, tournament_id, board=True)
    version = await project(run.database, projection, tournament_id, renew=True)
    if version is not None:
        await projection.announce(tournament_id, version)
    return version is not None


async def run_projector(database: Database, projection: Projection, ticks: BoardTicks, *, poll_seconds: float) -> None:
    """Keep boards projected until cancelled. What no tick told is found within `poll_seconds`."""
    projector = _Projector(database, projection)
    hearing = asyncio.create_task(projector.hear(ticks))
    try:
        # In the caller's own task: Python 3.11 may swallow a cancellation, and a task group passes on the first only.
        await projector.work(poll_seconds)
    finally:
        hearing.cancel()


class _Projector:
    def __init__(self, database: Database, projection: Projection) -> None:
        self._database = database
        self._restores = Restores(database)
        self._loader = BoardLoader(database)
        self._projection = projection
        self._moved: set[TournamentId] = set()
        self._compare = True
        self._wake = asyncio.Event()

    async def hear(self, ticks: BoardTicks) -> None:
        """Note what has moved; ticks that come while a board is written are one when it is done."""
        async for tournament_id in ticks:
            if tournament_id is None:
                self._compare = True
            else:
                self._moved.add(tournament_id)
            self._wake.set()

    async def work(self, poll_seconds: float) -> None:
        while True:
            try:
                await self._catch_up()
            except ProjectionUnavailable as error:
                _log.warning("The projection waits: %s", error)
            except Exception:  # noqa: BLE001 - the loop is the edge: whatever fails now is tried again at the next poll
                _log.exception("The projection waits.")
            await self._rest(poll_seconds)

    async def _rest(self, poll_seconds: float) -> None:
        """Until something is heard; without a word for that long, everything is compared."""
        try:
            async with asyncio.timeout(poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            self._compare = True
        self._wake.clear()

    async def _catch_up(self) -> None:
        if self._compare:
            self._moved |= await self._behind()
            self._compare = False
        while self._moved:
            tournament_id = self._moved.pop()
            try:
                await self._bring_up_to_date(tournament_id)
            except BaseException:
                self._moved.add(tournament_id)
                raise

    async def _behind(self) -> set[TournamentId]:
        await self._restores.notice()
        async with self._database.read() as connection:
            wanted = await store.boards_in_play(connection)
        held = await self._projection.stamps(list(wanted))
        return {tournament_id for tournament_id, state in wanted.items() if _held(held, tournament_id) != state}

    async def _bring_up_to_date(self, tournament_id: TournamentId) -> None:
        """Write a board unless it is there already; say what is there in any case, for whoever asked."""
        stamp = (await self._projection.stamps([tournament_id])).get(tournament_id)
        async with self._database.read() as connection:
            state = await store.read_state(connection, BoardKey(tournament_id=tournament_id))
        if state is None:
            return
        if stamp is not None and stamp.epoch == state.epoch and stamp.board_version > state.version:
            # Versions only rise, and this one was read later: the database is older than what was made of it.
            reason = f"Tournament {tournament_id} is at version {state.version}, and was at {stamp.board_version}."
            await begin_epoch(self._database, present=UUID(state.epoch), reason=reason)
        version: int | None = state.version
        if stamp is None or (stamp.epoch, stamp.board_version) != (state.epoch, state.version):
            heard = partial(self._heard, tournament_id)
            version = await project(self._database, self._projection, tournament_id, self._loader, stamp, heard)
        if version is not None:
            await self._projection.announce(tournament_id, version)

    def _heard(self, tournament_id: TournamentId) -> bool:
        """Whether a tick has come that is not taken yet; it is now."""
        has_come = tournament_id in self._moved
        self._moved.discard(tournament_id)
        return has_come


def _held(stamps: Mapping[TournamentId, Stamp], tournament_id: TournamentId) -> tuple[str, int] | None:
    stamp = stamps.get(tournament_id)
    return None if stamp is None else (stamp.epoch, stamp.board_version)
