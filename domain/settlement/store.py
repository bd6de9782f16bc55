"""SQL of settlements: the locks in their order, and the proof of every point."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.guess.tables import guesses
from domain.ids import ExecutionId, MatchId, SettlementId, TournamentId
from domain.match.model import Goals, ResultState
from domain.match.store import close_gate, gate, lock_passed
from domain.match.tables import matches
from domain.scoring.model import Facts, ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement.model import ScoreVersionKind, Settlement
from domain.settlement.rules import (
    NOTHING,
    AcceptedResult,
    LedgerLine,
    Scoreline,
    idempotency_key,
)
from domain.settlement.tables import (
    idempotency_keys,
    member_scores,
    score_versions,
    settlement_scorelines,
    settlements,
)
from domain.tables import Uuid, among
from domain.tournament.model import TournamentMode, TournamentStatus
from domain.tournament.tables import tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class LockedMatch:
    """A match whose row is locked, below the lock of its tournament."""

    id: MatchId
    tournament_id: TournamentId
    mode: TournamentMode
    is_locked: bool
    """Whether the time of guessing is over."""


@dataclass(frozen=True, slots=True)
class ActiveSettlement:
    """The settlement that pays now, with its proof."""

    settlement: Settlement
    status_at: datetime
    scorelines: list[Scoreline]


async def lock_match(
    connection: "AsyncConnection", match_id: MatchId, *, may_be_open: bool = False
) -> LockedMatch | None:
    """Take the lock of the match's tournament, then of its row; None when there is no such match.

    The first is a statement of its own: what is read afterwards was committed before the lock was had. `may_be_open`:
    guesses of the match may keep coming, and have to wait (`domain.match.store.close_gate`).
    """
    key = func.hashtextextended(func.concat("tournament:", matches.c.tournament_id), 0)
    await connection.execute(select(func.pg_advisory_xact_lock(key)).where(matches.c.id == match_id))
    if may_be_open:
        turn = select(func.pg_advisory_xact_lock(gate(matches.c.tournament_id)))
        await connection.execute(turn.where(matches.c.id == match_id, ~lock_passed()))
    statement = (
        select(matches.c.id, matches.c.tournament_id, tournaments.c.mode, lock_passed().label("is_locked"))
        .join(tournaments, tournaments.c.id == matches.c.tournament_id)
        .where(matches.c.id == match_id)
        .with_for_update(of=matches)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return LockedMatch(MatchId(row.id), TournamentId(row.tournament_id), TournamentMode(row.mode), row.is_locked)


async def lock_tournament(connection: "AsyncConnection", tournament_id: TournamentId) -> None:
    """Keep settlements of a tournament away, then changes of its matches: the order that settlements keep too."""
    key = func.hashtextextended(f"tournament:{tournament_id}", 0)
    await connection.execute(select(func.pg_advisory_xact_lock(key)))
    await close_gate(connection, tournament_id)
    rows = select(matches.c.id).where(matches.c.tournament_id == tournament_id).order_by(matches.c.id)
    await connection.execute(rows.with_for_update())


async def active_settlement(connection: "AsyncConnection", match_id: MatchId) -> ActiveSettlement | None:
    statement = select(settlements).where(
        settlements.c.match_id == match_id, settlements.c.superseded_version.is_(None)
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        return None
    proof = await read_scorelines(connection, [row["id"]])
    return ActiveSettlement(to_settlement(row), row["status_at"], proof.get(row["id"], []))


async def read_scorelines(
    connection: "AsyncConnection", ids: Iterable[SettlementId]
) -> dict[SettlementId, list[Scoreline]]:
    """The proofs of settlements; one that judged nothing is left out."""
    statement = select(settlement_scorelines).where(among(settlement_scorelines.c.settlement_id, ids))
    found: dict[SettlementId, list[Scoreline]] = {}
    for row in (await connection.execute(statement)).mappings():
        found.setdefault(SettlementId(row["settlement_id"]), []).append(_scoreline(row))
    return found


async def count_guesses(
    connection: "AsyncConnection", tournament_id: TournamentId, match_id: MatchId
) -> dict[Goals, int]:
    """How often each score was guessed."""
    statement = (
        select(guesses.c.home, guesses.c.away, func.count().label("number"))
        .where(guesses.c.tournament_id == tournament_id, guesses.c.match_id == match_id)
        .group_by(guesses.c.home, guesses.c.away)
    )
    return {Goals(row.home, row.away): row.number for row in await connection.execute(statement)}


async def set_members_changed(connection: "AsyncConnection", settlement_id: SettlementId, changed: int) -> None:
    await connection.execute(
        update(settlements).where(settlements.c.id == settlement_id).values(members_changed=changed)
    )


async def raise_settled_version(connection: "AsyncConnection", tournament_id: TournamentId) -> int:
    """The next version of the tournament's scores; holds its row until the commit, so versions have no gaps."""
    version: int = (await connection.execute(_raise(tournament_id, "settled_version"))).one().settled_version
    return version


async def raise_all_versions(connection: "AsyncConnection", tournament_id: TournamentId) -> tuple[int, datetime]:
    """The same, with the versions of its board and of its matches; and the instant.

    Have them told with `domain.tournament.store.tell_versions`.
    """
    raised = _raise(tournament_id, "settled_version", "board_version", "match_version")
    row = (await connection.execute(raised)).one()
    return row.settled_version, row.at


async def supersede(connection: "AsyncConnection", settlement_id: SettlementId, version: int) -> None:
    await connection.execute(
        update(settlements).where(settlements.c.id == settlement_id).values(superseded_version=version)
    )


# All in one go: one by one, these took a tenth of the time of a match of ten thousand guesses, and so did three dozen
# scorelines row by row. References between these rows are checked when all of them are there.
_INSERT = text(
    f"""
WITH settled AS (
    INSERT INTO settlements (
        id, tournament_id, match_id, revision, version, effect_digest, guesses, members_changed, applied_at,
        status_at, execution_id
    ) VALUES (
        :id, :tournament_id, :match_id, :revision, :version, :effect_digest, :guesses, :members_changed, :applied_at,
        :status_at, :execution_id
    )
), versioned AS (
    INSERT INTO score_versions (tournament_id, version, kind, settlement_id, digest, at)
    VALUES (:tournament_id, :version, :kind, :id, :effect_digest, :applied_at)
), keyed AS (
    INSERT INTO idempotency_keys (key, status, effect_digest, execution_id)
    VALUES (:key, 'APPLIED', :effect_digest, :execution_id)
), raised AS (
    UPDATE matches SET version = version + 1 WHERE id = :match_id
)
INSERT INTO settlement_scorelines (settlement_id, basis, home, away, {", ".join(FACTS)}, guesses)
SELECT CAST(:id AS uuid), * FROM unnest(
    CAST(:lines_basis AS text[]), CAST(:lines_home AS smallint[]), CAST(:lines_away AS smallint[]),
    {", ".join(f"CAST(:lines_{fact} AS boolean[])" for fact in FACTS)}, CAST(:lines_guesses AS integer[])
)
"""  # noqa: S608 - the names of our own columns
)


async def insert_settlement(
    connection: "AsyncConnection",
    settlement: Settlement,
    lines: Sequence[Scoreline],
    *,
    status_at: datetime,
    kind: ScoreVersionKind,
    execution_id: ExecutionId | None,
) -> None:
    """Write a settlement with its proof, its version, its idempotency key, and the match's new version."""
    values = asdict(settlement) | {
        "status_at": status_at,
        "execution_id": execution_id,
        "kind": kind,
        "key": idempotency_key(settlement.match_id, status_at),
    }
    await connection.execute(_INSERT, values | _columns(lines))


async def insert_version(
    connection: "AsyncConnection", tournament_id: TournamentId, version: int, kind: ScoreVersionKind, digest: str
) -> None:
    """Note a version that no settlement has made."""
    values = {"tournament_id": tournament_id, "version": version, "kind": kind, "digest": digest}
    at = _instant_of(literal(tournament_id, Uuid), literal(version))
    await connection.execute(insert(score_versions).values(**values, at=at))


async def count_replay(connection: "AsyncConnection", key: str) -> None:
    """Note that a settlement which is applied already was asked for once more."""
    await connection.execute(
        update(idempotency_keys).where(idempotency_keys.c.key == key).values(replays=idempotency_keys.c.replays + 1)
    )


async def insert_superseded_keys(
    connection: "AsyncConnection", results: Sequence[AcceptedResult], execution_id: ExecutionId | None
) -> None:
    """Note revisions that a later one overtook before they were settled."""
    keys = [idempotency_key(result.match_id, result.status_at) for result in results]
    rows = [{"key": key, "status": "SUPERSEDED", "effect_digest": "", "execution_id": execution_id} for key in keys]
    if rows:
        await connection.execute(upsert(idempotency_keys).on_conflict_do_nothing(), rows)


# ---------------------------------------------------------------- reads


async def pending_matches(connection: "AsyncConnection", tournament_id: TournamentId | None) -> list[MatchId]:
    """Matches with an accepted result that is not settled, oldest first; of all tournaments but cancelled ones."""
    active = settlements.alias()
    statement = (
        select(matches.c.id)
        .join(tournaments, tournaments.c.id == matches.c.tournament_id)
        .outerjoin(active, (active.c.match_id == matches.c.id) & active.c.superseded_version.is_(None))
        .where(
            matches.c.result_state.in_([ResultState.FINAL, ResultState.VOID]),
            matches.c.result_revision > func.coalesce(active.c.revision, 0),
            tournaments.c.status != TournamentStatus.CANCELLED,
        )
        .order_by(matches.c.kick_off, matches.c.id)
    )
    if tournament_id is not None:
        statement = statement.where(matches.c.tournament_id == tournament_id)
    return [MatchId(row.id) for row in await connection.execute(statement)]


async def active_settlements(connection: "AsyncConnection", match_ids: Iterable[MatchId]) -> dict[MatchId, Settlement]:
    """The settlements that pay now."""
    statement = select(settlements).where(
        among(settlements.c.match_id, match_ids), settlements.c.superseded_version.is_(None)
    )
    found = [to_settlement(row) for row in (await connection.execute(statement)).mappings()]
    return {settlement.match_id: settlement for settlement in found}


async def points_ledger(connection: "AsyncConnection", tournament_id: TournamentId) -> list[LedgerLine]:
    """Each basis counted over members and over active settlements; a line that is not balanced is a fault of ours."""
    of_members = (
        select(member_scores.c.basis, *(func.sum(member_scores.c[fact]).label(fact) for fact in FACTS))
        .where(member_scores.c.tournament_id == tournament_id)
        .group_by(member_scores.c.basis)
    )
    line = settlement_scorelines
    counted = (
        select(line.c.basis, *(func.sum(line.c.guesses).filter(line.c[fact]).label(fact) for fact in FACTS))
        .join(settlements, settlements.c.id == line.c.settlement_id)
        .where(settlements.c.tournament_id == tournament_id, settlements.c.superseded_version.is_(None))
        .group_by(line.c.basis)
    )
    members = {row["basis"]: _facts(row) for row in (await connection.execute(of_members)).mappings()}
    scorelines = {row["basis"]: _facts(row) for row in (await connection.execute(counted)).mappings()}
    return [
        LedgerLine(ScoreBasis(basis), members.get(basis, NOTHING), scorelines.get(basis, NOTHING))
        for basis in sorted(members.keys() | scorelines.keys())
    ]


# ---------------------------------------------------------------- rows


def _raise(tournament_id: TournamentId, *counters: str) -> Any:
    return (
        update(tournaments)
        .where(tournaments.c.id == tournament_id)
        .values({name: tournaments.c[name] + 1 for name in counters})
        .returning(tournaments.c.settled_version, _instant_of(tournaments.c.id, tournaments.c.settled_version))
    )


def _instant_of(tournament_id: "ColumnElement[Any]", version: "ColumnElement[Any]") -> "ColumnElement[Any]":
    """Now; should the clock have been set back, when the version before came to be: they follow each other in time."""
    before = select(score_versions.c.at).where(
        score_versions.c.tournament_id == tournament_id, score_versions.c.version == version - 1
    )
    return func.greatest(func.clock_timestamp(), before.scalar_subquery()).label("at")


def _facts(row: "RowMapping") -> Facts:
    return Facts(*(int(row[fact] or 0) for fact in FACTS))


def to_settlement(row: Mapping[Any, Any]) -> Settlement:
    return Settlement(
        id=SettlementId(row["id"]),
        tournament_id=TournamentId(row["tournament_id"]),
        match_id=MatchId(row["match_id"]),
        revision=row["revision"],
        version=row["version"],
        effect_digest=row["effect_digest"],
        guesses=row["guesses"],
        members_changed=row["members_changed"],
        applied_at=row["applied_at"],
    )


def _scoreline(row: "RowMapping") -> Scoreline:
    return Scoreline(ScoreBasis(row["basis"]), Goals(row["home"], row["away"]), _facts(row), row["guesses"])


def _columns(lines: Sequence[Scoreline]) -> dict[str, list[Any]]:
    right = {f"lines_{fact}": [bool(line.facts[n]) for line in lines] for n, fact in enumerate(FACTS)}
    return {
        "lines_basis": [line.basis.value for line in lines],
        "lines_home": [line.goals.home for line in lines],
        "lines_away": [line.goals.away for line in lines],
        **right,
        "lines_guesses": [line.guesses for line in lines],
    }
