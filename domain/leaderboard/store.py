"""SQL of boards: what a board depends on, members' facts read whole, and the fold of guesses and settlements."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ARRAY, Integer, and_, column, exists, func, literal, null, or_, select, text, true
from sqlalchemy import cast as to_type
from sqlalchemy.dialects import postgresql

from domain.database import Database
from domain.guess.tables import guesses, tournament_members
from domain.ids import LeagueId, MemberId, TournamentId
from domain.leaderboard.model import BoardKey
from domain.league.model import LeagueRole, LeagueTournamentStatus
from domain.league.tables import league_members, league_tournaments, leagues
from domain.match.model import MatchStatus, ResultState
from domain.match.tables import matches
from domain.member.tables import installation
from domain.scoring.model import ScoreBasis, Weights
from domain.scoring.rules import bases, basis_row
from domain.scoring.tables import FACTS, rulesets
from domain.settlement.tables import member_scores, score_versions, settlement_scorelines, settlements
from domain.tables import Uuid, among
from domain.tournament.model import TournamentMode, TournamentStatus
from domain.tournament.tables import rounds, tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, FromClause, Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

COUNTED = (LeagueTournamentStatus.ACTIVE, LeagueTournamentStatus.COMPLETED)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A tournament's scores when its current round became the current one."""

    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A tournament on a board, and the ruleset that it counts under there."""

    tournament_id: TournamentId
    settled_version: int
    board_version: int
    basis: ScoreBasis
    """The stored basis that holds the ruleset's facts."""
    bases: tuple[ScoreBasis, ...]
    weights: Weights
    is_counted: bool
    baseline: Baseline | None
    settled_matches: int
    matches: int
    pending_matches: int


@dataclass(frozen=True, slots=True)
class BoardState:
    """What a board depends on, read at one moment."""

    key: BoardKey
    epoch: str
    league_version: int
    read_at: datetime
    parts: tuple[Part, ...]

    @property
    def version(self) -> int:
        """Stream version; counters of links that no longer count stay in it, so it never falls."""
        return self.league_version + sum(part.board_version for part in self.parts)

    @property
    def counted(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.is_counted)


@asynccontextmanager
async def snapshot(database: Database) -> "AsyncIterator[AsyncConnection]":
    """A transaction in which all reads see one moment."""
    async with database.begin() as connection:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection


# ---------------------------------------------------------------- what a board depends on


async def epoch(connection: "AsyncConnection") -> str:
    return str((await connection.execute(select(installation.c.epoch))).scalar_one())


async def read_state(connection: "AsyncConnection", key: BoardKey) -> BoardState | None:
    """None when there is no such board: a league that does not play the tournament, a round of another one."""
    statement = _tournament_state(key) if key.league_id is None else _league_state(key, key.league_id)
    found = (await connection.execute(statement)).all()
    if not found:
        return None
    parts = tuple(_part(row) for row in found if row.id is not None)
    tournament_id = parts[0].tournament_id if key.tournament_id or key.round_id else None
    head = found[0]
    return BoardState(
        key=BoardKey(key.league_id, tournament_id, key.round_id),
        epoch=str(head.epoch),
        league_version=head.league_version,
        read_at=head.read_at,
        parts=parts,
    )


async def versions(connection: "AsyncConnection", keys: Sequence[BoardKey]) -> dict[BoardKey, int]:
    """Stream versions of many boards, by one statement; boards that do not exist are left out."""
    names = ("league_id", "tournament_id", "round_id")
    ids = [literal([getattr(key, name) for key in keys], ARRAY(Uuid)) for name in names]
    asked = (
        func.unnest(*ids)
        .table_valued(*(column(name, Uuid) for name in names), with_ordinality="n")
        .render_derived("asked")
    )
    links = (
        select(func.coalesce(func.sum(tournaments.c.board_version), 0))
        .select_from(league_tournaments.join(tournaments, tournaments.c.id == league_tournaments.c.tournament_id))
        .where(league_tournaments.c.league_id == leagues.c.id)
        .scalar_subquery()
    )
    played = tournaments.alias()
    statement = (
        select(
            asked.c.n,
            func.coalesce(leagues.c.board_version, 0) + func.coalesce(played.c.board_version, links),
        )
        .select_from(
            asked.outerjoin(rounds, rounds.c.id == asked.c.round_id)
            .outerjoin(played, played.c.id == func.coalesce(asked.c.tournament_id, rounds.c.tournament_id))
            .outerjoin(leagues, leagues.c.id == asked.c.league_id)
        )
        .where(
            or_(asked.c.league_id.is_(None), leagues.c.deleted_at.is_(None) & leagues.c.id.is_not(None)),
            or_(played.c.id.is_not(None), asked.c.tournament_id.is_(None) & asked.c.round_id.is_(None)),
            or_(leagues.c.id.is_not(None), played.c.id.is_not(None)),
        )
    )
    return {keys[place - 1]: version for place, version in await connection.execute(statement)}


async def boards_in_play(connection: "AsyncConnection") -> dict[TournamentId, tuple[str, int]]:
    """Epoch and board version of every tournament that is not over."""
    statement = (
        select(tournaments.c.id, installation.c.epoch, tournaments.c.board_version)
        .join(installation, true())
        .where(tournaments.c.status.in_([TournamentStatus.UPCOMING, TournamentStatus.ACTIVE]))
    )
    return {TournamentId(row.id): (str(row.epoch), row.board_version) for row in await connection.execute(statement)}


def _tournament_state(key: BoardKey) -> "Select[Any]":
    statement = _state(tournaments.c.ruleset_id, literal(0), true(), tournaments, key).join(installation, true())
    return statement.where(_is_asked(key))


def _league_state(key: BoardKey, league_id: LeagueId) -> "Select[Any]":
    link = league_tournaments
    is_present = link.c.removed_at.is_(None)
    is_one = key.tournament_id is not None or key.round_id is not None
    played = leagues.outerjoin(link, link.c.league_id == leagues.c.id).outerjoin(
        tournaments, tournaments.c.id == link.c.tournament_id
    )
    is_counted = is_present if is_one else is_present & link.c.status.in_(COUNTED)
    statement = _state(link.c.ruleset_id, leagues.c.board_version, is_counted, played, key)
    statement = statement.join(installation, true()).where(leagues.c.id == league_id, leagues.c.deleted_at.is_(None))
    return statement.where(_is_asked(key), is_present) if is_one else statement.order_by(tournaments.c.id)


def _state(
    ruleset_id: "ColumnElement[Any]",
    league_version: "ColumnElement[Any]",
    is_counted: "ColumnElement[Any]",
    source: "FromClause",
    key: BoardKey,
) -> "Select[Any]":
    current, counts = rounds.alias("current_round"), _match_counts(key)
    return (
        select(
            tournaments.c.id,
            tournaments.c.mode,
            tournaments.c.settled_version,
            tournaments.c.board_version,
            rulesets.c.basis,
            *(rulesets.c[fact] for fact in FACTS),
            league_version.label("league_version"),
            is_counted.label("is_counted"),
            installation.c.epoch,
            func.clock_timestamp().label("read_at"),
            current.c.baseline_version,
            current.c.baseline_at,
            *counts.c,
        )
        .select_from(source)
        .outerjoin(rulesets, rulesets.c.id == ruleset_id)
        .outerjoin(current, current.c.id == tournaments.c.current_round_id)
        .outerjoin(counts, true())
    )


def _match_counts(key: BoardKey) -> Any:
    """Matches of a board; void ones count nowhere."""
    statement = (
        select(
            func.count().label("matches"),
            func.count(settlements.c.id).label("settled_matches"),
            func.count()
            .filter(settlements.c.id.is_(None), matches.c.status == MatchStatus.ENDED)
            .label("pending_matches"),
        )
        .select_from(matches.outerjoin(settlements, (settlements.c.match_id == matches.c.id) & _is_active()))
        .where(matches.c.tournament_id == tournaments.c.id, matches.c.result_state != ResultState.VOID)
    )
    if key.round_id is not None:
        statement = statement.where(matches.c.round_id == key.round_id)
    return statement.lateral("counts")


def _is_asked(key: BoardKey) -> "ColumnElement[bool]":
    """Which tournament a key names: directly, or by its round, or by both when they agree."""
    conditions = []
    if key.tournament_id is not None:
        conditions.append(tournaments.c.id == key.tournament_id)
    if key.round_id is not None:
        conditions.append(exists().where(rounds.c.id == key.round_id, rounds.c.tournament_id == tournaments.c.id))
    return and_(*conditions)


def _part(row: "Row[Any]") -> Part:
    mode, basis = TournamentMode(row.mode), ScoreBasis(row.basis)
    has_baseline = row.baseline_version is not None
    return Part(
        tournament_id=TournamentId(row.id),
        settled_version=row.settled_version,
        board_version=row.board_version,
        basis=basis_row(mode, basis),
        bases=bases(mode),
        weights=Weights(*(getattr(row, fact) for fact in FACTS)),
        is_counted=row.is_counted,
        baseline=Baseline(row.baseline_version, row.baseline_at) if has_baseline else None,
        settled_matches=row.settled_matches,
        matches=row.matches,
        pending_matches=row.pending_matches,
    )


# ---------------------------------------------------------------- members and their facts


def members_of_tournament(tournament_id: TournamentId, *, at: datetime | None = None) -> "Select[Any]":
    """All who have joined, or had at `at`."""
    statement = select(tournament_members.c.member_id).where(tournament_members.c.tournament_id == tournament_id)
    return statement if at is None else statement.where(tournament_members.c.joined_at <= at)


def members_of_league(league_id: LeagueId, *, at: datetime | None = None) -> "Select[Any]":
    """All members who are ranked (not VIEWERs), of today or of `at`."""
    statement = select(league_members.c.member_id).where(
        league_members.c.league_id == league_id, league_members.c.role != LeagueRole.VIEWER
    )
    if at is None:
        return statement.where(league_members.c.left_at.is_(None))
    has_left = league_members.c.left_at <= at
    return statement.where(league_members.c.joined_at <= at, func.coalesce(has_left, False).is_(False)).distinct()


async def read_ids(connection: "AsyncConnection", members: "Select[Any]") -> list[MemberId]:
    return [MemberId(member) for member in (await connection.execute(members)).scalars()]


def head_facts(members: "Select[Any] | None", tournament_id: TournamentId, basis: ScoreBasis) -> "Select[Any]":
    """Present facts of members, zeros for those who have not joined; None: of all who have."""
    score = member_scores
    of_basis = and_(score.c.tournament_id == tournament_id, score.c.basis == basis)
    if members is None:
        return select(score.c.member_id, *(score.c[fact] for fact in FACTS)).where(of_basis)
    asked = members.subquery()
    return select(asked.c.member_id, *(func.coalesce(score.c[fact], 0) for fact in FACTS)).select_from(
        asked.outerjoin(score, and_(of_basis, score.c.member_id == asked.c.member_id))
    )


def folded_facts(
    members: "Select[Any]",
    tournament_id: TournamentId,
    basis: ScoreBasis,
    *,
    round_id: Any = None,
    version: int | None = None,
    are_few: bool = False,
) -> "Select[Any]":
    """THE fold: guesses x settlements active at `version` (default: now) x scorelines; of all matches, or a round's.

    `are_few`: the members are a league's, not all of the tournament's.
    """
    asked, line = members.subquery(), settlement_scorelines
    is_same = and_(
        line.c.settlement_id == settlements.c.id,
        line.c.basis == basis,
        line.c.home == guesses.c.home,
        line.c.away == guesses.c.away,
    )
    paid = (
        select(guesses.c.member_id, *(func.count().filter(line.c[fact]).label(fact) for fact in FACTS))
        .select_from(guesses.join(settlements, settlements.c.match_id == guesses.c.match_id).join(line, is_same))
        .where(
            guesses.c.tournament_id == tournament_id,
            settlements.c.tournament_id == tournament_id,
            _is_active(version),
        )
        .group_by(guesses.c.member_id)
    )
    if are_few:
        # A league reads its members' guesses by index; a whole tournament's are read in one pass.
        paid = paid.where(guesses.c.member_id.in_(select(asked.c.member_id)))
    if round_id is not None:
        of_round = select(matches.c.id).where(matches.c.tournament_id == tournament_id, matches.c.round_id == round_id)
        paid = paid.where(settlements.c.match_id.in_(of_round))
    sums = paid.subquery()
    facts = (to_type(func.coalesce(sums.c[fact], 0), Integer) for fact in FACTS)
    return select(asked.c.member_id, *facts).select_from(asked.outerjoin(sums, sums.c.member_id == asked.c.member_id))


async def copy(connection: "AsyncConnection", statement: "Select[Any]") -> bytes:
    """Rows (member id, five facts) in PostgreSQL's binary COPY format, which arrays are read from at once."""
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    # COPY takes no parameters; the values are ids, numbers and times of ours.
    query = str(statement.compile(dialect=cast("Any", postgresql).dialect(), compile_kwargs={"literal_binds": True}))
    raw = await connection.get_raw_connection()
    await cast("Any", raw.driver_connection).copy_from_query(query, output=keep, format="binary")
    return b"".join(chunks)


async def version_at_baseline(connection: "AsyncConnection", part: Part, at: datetime) -> int:
    """The tournament's settled version at an instant, 0 before any settlement; of its own baseline the recorded one."""
    if part.baseline is not None and part.baseline.at == at:
        return part.baseline.version
    statement = select(func.coalesce(func.max(score_versions.c.version), 0)).where(
        score_versions.c.tournament_id == part.tournament_id, score_versions.c.at <= at
    )
    version: int = (await connection.execute(statement)).scalar_one()
    return version


async def count_guessed(
    connection: "AsyncConnection", state: BoardState, member_ids: Iterable[MemberId]
) -> Mapping[MemberId, int]:
    """How many of the board's settled matches each member had guessed, void ones left out; who had none is missing."""
    statement = (
        select(guesses.c.member_id, func.count().label("number"))
        .select_from(
            guesses.join(settlements, (settlements.c.match_id == guesses.c.match_id) & _is_active()).join(
                matches, matches.c.id == guesses.c.match_id
            )
        )
        .where(
            among(guesses.c.member_id, member_ids),
            among(guesses.c.tournament_id, [part.tournament_id for part in state.counted]),
            matches.c.result_state != ResultState.VOID,
        )
        .group_by(guesses.c.member_id)
    )
    if state.key.round_id is not None:
        statement = statement.where(matches.c.round_id == state.key.round_id)
    return {MemberId(row.member_id): row.number for row in await connection.execute(statement)}


def _is_active(version: int | None = None) -> "ColumnElement[bool]":
    """That a settlement pays now, or did at `version`."""
    superseded = settlements.c.superseded_version
    if version is None:
        return superseded.is_(null())
    return and_(settlements.c.version <= version, or_(superseded.is_(None), superseded > version))
