"""The operation that checks boards: the ledger, what should have moved, and each projection, which it repairs."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from random import Random

from domain.database import Database
from domain.errors import InvariantBroken
from domain.execution.run import Run, Step
from domain.ids import TournamentId
from domain.leaderboard import store as boards
from domain.leaderboard.audit import rules, store
from domain.leaderboard.audit.leagues import boards_of, league_drift
from domain.leaderboard.audit.model import LEDGER_STEP, Breach, Check, Invariant
from domain.leaderboard.leagues import kept_boards
from domain.leaderboard.loading import load
from domain.leaderboard.many.held import is_current
from domain.leaderboard.model import BoardKey
from domain.leaderboard.ports import Projection
from domain.leaderboard.projector import rewrite
from domain.leaderboard.score_table import Stamp
from domain.league.store import raise_versions_of
from domain.settlement.store import points_ledger

_log = logging.getLogger(__name__)

MOVES_WITHIN = timedelta(minutes=15)
"""A result is settled, and an execution that is due is taken up, well within it."""
# A projector that is at work moves on within so many looks: a board of a million takes it three seconds.
# While boards move fast it may be behind for long.
_LOOKS, _PAUSE_SECONDS = 9, 0.5
_MOST_LOOKS = 60
_OVER = 10
"""Tournaments that are over and looked at, a run: their boards stand still, and are more every year."""


async def verify_projection(run: Run, projection: Projection) -> None:
    """Check the target's tournament, or all that are not over, and a few projections of those that are.

    Delays are told. A projection that differs from the database is rebuilt and counted as updated. A ledger that does
    not add up cannot be repaired by rebuilding: raises InvariantBroken, when everything has been checked.
    """
    target = run.execution.target.tournament_id
    async with run.database.read() as connection:
        tournaments = [target] if target else list(await boards.boards_in_play(connection))
    broken: list[Breach] = []
    async with run.step(LEDGER_STEP, total=len(tournaments)) as step:
        for tournament_id in tournaments:
            broken += await _check_ledger(run, step, tournament_id)
    async with run.step("Delays") as step:
        _report(step, await _delays(run, target), run)
    if target is None:
        over = await projected_and_over(run.database, projection)
        by_lot = Random(run.execution.id.int)  # noqa: S311 - no secret; another try looks at the same
        tournaments += by_lot.sample(sorted(over), min(_OVER, len(over)))
    async with run.step("Projections", total=len(tournaments)) as step:
        for tournament_id in tournaments:
            await _check_projection(run, step, projection, tournament_id)
    await _check_leagues(run, projection, target)
    if broken:
        raise InvariantBroken(
            f"The ledger of points is broken in {len(broken)} place{'s' if len(broken) > 1 else ''}: "
            f"{broken[0].message}. No rebuild repairs that; the report lists every place."
        )


async def count_breaches(database: Database) -> dict[Invariant, int]:
    """How often what must hold does not: of the ledger as the latest audits found it, of delays as they are now."""
    async with database.read() as connection:
        broken, late, stuck = await store.count(connection, MOVES_WITHIN)
    return {Invariant.LEDGER: broken, Invariant.SETTLED_IN_TIME: late, Invariant.EXECUTIONS_MOVE: stuck}


async def check(database: Database, projection: Projection, tournament_id: TournamentId) -> Check:
    """What is wrong with a tournament's boards; nothing is changed.

    Raises ProjectionUnavailable.
    """
    breaches = await _ledger_breaches(database, tournament_id)
    drifts = []
    try:
        drift = await _drift(database, projection, tournament_id)
        drifts += [] if drift is None else [drift]
        async with boards_of(database) as from_database:
            for key in await kept_boards(database, projection, tournament_id):
                drift = await league_drift(database, projection, from_database, key)
                drifts += [] if drift is None else [f"{_name(key)} {drift}"]
    except OverflowError as error:  # a broken ledger
        drifts.append(str(error))
    return Check(tournament_id, tuple(breaches), tuple(drifts))


async def projected_and_over(database: Database, projection: Projection) -> list[TournamentId]:
    """Tournaments that are over and still have a board in the projection, in no order.

    Raises ProjectionUnavailable.
    """
    async with database.read() as connection:
        over = await boards.boards_over(connection)
    return list(await projection.stamps(over))


async def _check_ledger(run: Run, step: Step, tournament_id: TournamentId) -> list[Breach]:
    found = await _ledger_breaches(run.database, tournament_id)
    _report(step, found, run, where=f"tournament {tournament_id}, ")
    step.unchanged += not found
    return found


async def _ledger_breaches(database: Database, tournament_id: TournamentId) -> list[Breach]:
    async with database.snapshot() as connection:
        return [
            *rules.ledger_breaches(await points_ledger(connection, tournament_id)),
            *rules.score_breaches(await store.unfolded_scores(connection, tournament_id)),
            *rules.version_breaches(*await store.versions(connection, tournament_id)),
            *rules.active_breaches(await store.not_once_active(connection, tournament_id)),
        ]


async def _delays(run: Run, target: TournamentId | None) -> list[Breach]:
    async with run.database.read() as connection:
        late = await store.late_settlements(connection, target, MOVES_WITHIN)
        stuck = await store.stuck_executions(connection, MOVES_WITHIN) if target is None else []
    return rules.delays(late, stuck)


async def _check_projection(run: Run, step: Step, projection: Projection, tournament_id: TournamentId) -> None:
    try:
        drift = await _drift(run.database, projection, tournament_id)
        if drift is None:
            step.unchanged += 1
            return
        _log.warning("projection_drift: tournament=%s %s", tournament_id, drift)
        await rewrite(run.database, projection, tournament_id, run.begin)
    except OverflowError as error:  # a broken ledger, which is told
        step.reject(f"Tournament {tournament_id}: {error}")
        return
    _repaired(step, f"Tournament {tournament_id}: {drift}; rebuilt.")


async def _check_leagues(run: Run, projection: Projection, target: TournamentId | None) -> None:
    """A kept board that is wrong counts as outdated once its league has another version: all make it anew."""
    kept = await kept_boards(run.database, projection, target)
    async with run.step("League boards", total=len(kept)) as step, boards_of(run.database) as from_database:
        for key in kept:
            try:
                drift = await league_drift(run.database, projection, from_database, key)
            except OverflowError as error:  # a broken ledger, which is told
                step.reject(f"{_name(key)}: {error}")
                continue
            if drift is None:
                step.unchanged += 1
                continue
            assert key.league_id is not None
            _log.warning("projection_drift: league=%s tournament=%s %s", key.league_id, key.tournament_id, drift)
            async with run.begin() as connection:
                await raise_versions_of(connection, [key.league_id])
            _repaired(step, f"{_name(key)}: {drift}; made anew.")


def _name(key: BoardKey) -> str:
    where = "" if key.tournament_id is None else f" in tournament {key.tournament_id}"
    return f"League {key.league_id}{where}"


def _repaired(step: Step, line: str) -> None:
    step.updated += 1
    step.note = line if step.note is None else f"{step.note}\n{line}"


async def _drift(database: Database, projection: Projection, tournament_id: TournamentId) -> str | None:
    """What is wrong with a projection; None when it shows the database as it is.

    The board is loaded only while the projection says that it shows the present version: a large one takes seconds.
    """
    seen: list[Stamp | None] = []
    while True:
        state = await boards.fetch_state(database, BoardKey(tournament_id=tournament_id))
        if state is None:
            return None
        stamp = (await projection.stamps([tournament_id])).get(tournament_id)
        if is_current(stamp, state.epoch, state.parts[0]) and (loaded := await load(database, tournament_id)):
            _, table, ranking = loaded
            differences = await projection.differences(tournament_id, table, ranking)
            if differences is not None:
                return f"differs in {', '.join(differences)}" if differences else None
        seen.append(stamp)
        if len(seen) == _MOST_LOOKS or seen[-_LOOKS:] == [stamp] * _LOOKS:
            shown = None if stamp is None else stamp.board_version
            return "is missing" if shown is None else f"shows version {shown} where {state.version} is present"
        await asyncio.sleep(_PAUSE_SECONDS)


def _report(step: Step, found: Iterable[Breach], run: Run, where: str = "") -> None:
    for breach in found:
        step.reject(f"{breach.invariant}: {where}{breach.message}")
        _log.error(
            "invariant_broken: invariant=%s requestId=%s %s%s",
            breach.invariant,
            run.execution.request_id,
            where,
            breach.message,
        )
