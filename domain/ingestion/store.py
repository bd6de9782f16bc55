"""SQL of ingestion: reads what is stored of a tournament whole, and writes only rows that differ.

Its matches are in `match/store.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import case, delete, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.execution.tables import executions
from domain.guess.tables import tournament_members
from domain.ids import ExecutionId, RoundId, RulesetId, TeamId, TournamentId
from domain.ingestion.rules import RoundKickOffs
from domain.ingestion.snapshot import RoundSnapshot, StandingsGroupSnapshot, TeamSnapshot
from domain.match.model import KickOffPrecision, MatchStatus, ResultState
from domain.match.tables import matches
from domain.scoring.tables import rulesets
from domain.tables import among
from domain.tournament.model import Provider, TournamentStatus
from domain.tournament.tables import provider_refs, rounds, standings, teams, tournaments

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_BASELINE = (rounds.c.baseline_version, rounds.c.baseline_at)


async def database_now(connection: "AsyncConnection") -> datetime:
    """The database's clock, which decides locks."""
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return now


# ---------------------------------------------------------------- tournaments


async def find_tournament(
    connection: "AsyncConnection", provider: Provider, competition: str, season: str
) -> dict[str, Any] | None:
    """The stored tournament of a source, locked for a change; None when there is none."""
    statement = (
        select(tournaments)
        .where(
            tournaments.c.provider == provider,
            tournaments.c.competition == competition,
            tournaments.c.provider_season == season,
        )
        .with_for_update(key_share=True)
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    return dict(row) if row is not None else None


async def read_tournament(
    connection: "AsyncConnection", tournament_id: TournamentId, *, for_update: bool = False
) -> dict[str, Any]:
    statement = select(tournaments).where(tournaments.c.id == tournament_id)
    if for_update:
        statement = statement.with_for_update(key_share=True)
    return dict((await connection.execute(statement)).mappings().one())


async def insert_tournament(connection: "AsyncConnection", values: dict[str, Any]) -> bool:
    """Whether it was new; False when another execution was faster."""
    result = await connection.execute(
        upsert(tournaments).values(values).on_conflict_do_nothing().returning(tournaments.c.id)
    )
    return result.one_or_none() is not None


async def update_tournament(connection: "AsyncConnection", tournament_id: TournamentId, values: dict[str, Any]) -> None:
    await connection.execute(update(tournaments).where(tournaments.c.id == tournament_id).values(values))


async def default_ruleset(connection: "AsyncConnection") -> RulesetId:
    """Latest version of the ruleset that tournaments have unless told otherwise."""
    statement = select(rulesets.c.id).where(rulesets.c.code == "default").order_by(rulesets.c.version.desc()).limit(1)
    return RulesetId((await connection.execute(statement)).scalar_one())


async def has_members(connection: "AsyncConnection", tournament_id: TournamentId) -> bool:
    statement = select(tournament_members.c.member_id).where(tournament_members.c.tournament_id == tournament_id)
    return (await connection.execute(statement.limit(1))).one_or_none() is not None


async def name_target(connection: "AsyncConnection", execution_id: ExecutionId, tournament_id: TournamentId) -> None:
    """Tell an execution which tournament it has turned out to be about."""
    await connection.execute(
        update(executions)
        .where(executions.c.id == execution_id)
        .values(tournament_id=tournament_id, version=executions.c.version + 1)
    )


async def active_tournaments(connection: "AsyncConnection") -> list[TournamentId]:
    statement = select(tournaments.c.id).where(
        tournaments.c.status.in_([TournamentStatus.ACTIVE, TournamentStatus.UPCOMING])
    )
    return [TournamentId(row.id) for row in await connection.execute(statement.order_by(tournaments.c.id))]


async def seasons_of(connection: "AsyncConnection", provider: Provider, competition: str) -> set[str]:
    """The provider's names of the seasons of a competition that are stored."""
    statement = select(tournaments.c.provider_season).where(
        tournaments.c.provider == provider, tournaments.c.competition == competition
    )
    return {row.provider_season for row in await connection.execute(statement)}


# ---------------------------------------------------------------- rounds and teams


async def read_rounds(connection: "AsyncConnection", tournament_id: TournamentId) -> dict[str, dict[str, Any]]:
    """By slug: id, position, label, kind, and with what it began."""
    columns = (rounds.c.id, rounds.c.slug, rounds.c.position, rounds.c.label, rounds.c.kind, *_BASELINE)
    rows = await connection.execute(select(*columns).where(rounds.c.tournament_id == tournament_id))
    return {row["slug"]: dict(row) for row in rows.mappings()}


async def insert_rounds(
    connection: "AsyncConnection",
    tournament_id: TournamentId,
    found: Sequence[tuple[RoundId, RoundSnapshot]],
    before: Mapping[int, Mapping[str, Any]],
) -> None:
    """`before`: rounds as `read_rounds` gives them, by positions that are taken: who takes one began when that did."""
    if found:
        made = [
            {"id": key, "tournament_id": tournament_id, **round_values(new), **_begun(before.get(new.position))}
            for key, new in found
        ]
        await connection.execute(insert(rounds), made)


def _begun(before: Mapping[str, Any] | None) -> dict[str, Any]:
    return {column.name: None if before is None else before[column.name] for column in _BASELINE}


async def update_rounds(connection: "AsyncConnection", changed: Sequence[tuple[RoundId, RoundSnapshot]]) -> None:
    for round_id, snapshot in changed:
        await connection.execute(update(rounds).where(rounds.c.id == round_id).values(round_values(snapshot)))


async def put_behind(connection: "AsyncConnection", round_ids: Sequence[RoundId], position: int) -> None:
    """Have rounds, in this order, come behind a position."""
    for place, round_id in enumerate(round_ids, start=position + 1):
        await connection.execute(update(rounds).where(rounds.c.id == round_id).values(position=place))


def round_values(snapshot: RoundSnapshot) -> dict[str, Any]:
    return {
        "slug": snapshot.slug,
        "label": snapshot.label,
        "kind": snapshot.kind.value,
        "position": snapshot.position,
    }


async def read_references(
    connection: "AsyncConnection", provider: Provider, kind: str, keys: Iterable[str]
) -> dict[str, UUID]:
    """Ids of ours by the provider's names."""
    statement = select(provider_refs.c.external_id, provider_refs.c.entity_id).where(
        provider_refs.c.provider == provider,
        provider_refs.c.kind == kind,
        among(provider_refs.c.external_id, keys),
    )
    return {row.external_id: row.entity_id for row in await connection.execute(statement)}


async def insert_references(
    connection: "AsyncConnection",
    provider: Provider,
    kind: str,
    named: Iterable[tuple[str, UUID]],
    tournament_id: TournamentId | None = None,
) -> None:
    """Have the provider's names stand for these of ours from now on, whatever they stood for before."""
    rows = [
        {
            "provider": provider.value,
            "kind": kind,
            "external_id": key,
            "entity_id": entity,
            "tournament_id": tournament_id,
        }
        for key, entity in named
    ]
    statement = upsert(provider_refs)
    key = ["provider", "kind", "external_id"]
    moved = statement.on_conflict_do_update(index_elements=key, set_={"entity_id": statement.excluded.entity_id})
    if rows:
        await connection.execute(moved, rows)


async def read_teams(connection: "AsyncConnection", ids: Iterable[UUID]) -> dict[TeamId, dict[str, Any]]:
    statement = select(teams.c.id, teams.c.name, teams.c.short_name, teams.c.code).where(among(teams.c.id, ids))
    return {TeamId(row["id"]): dict(row) for row in (await connection.execute(statement)).mappings()}


async def insert_teams(connection: "AsyncConnection", found: Sequence[tuple[TeamId, TeamSnapshot]]) -> None:
    if found:
        await connection.execute(insert(teams), [{"id": key, **team_values(new)} for key, new in found])


async def update_teams(connection: "AsyncConnection", changed: Sequence[tuple[TeamId, TeamSnapshot]]) -> None:
    for team_id, snapshot in changed:
        await connection.execute(update(teams).where(teams.c.id == team_id).values(team_values(snapshot)))


def team_values(snapshot: TeamSnapshot) -> dict[str, Any]:
    return {"name": snapshot.name, "short_name": snapshot.short_name, "code": snapshot.code}


# ---------------------------------------------------------------- kick-offs


async def read_kick_offs(
    connection: "AsyncConnection", tournament_id: TournamentId
) -> tuple[list[RoundKickOffs], list[tuple[MatchStatus, datetime | None]]]:
    """Rounds with their kick-offs (dates too), and status and kick-off of every match that is still listed.

    A match whose result is held back is not over yet.
    """
    is_held = matches.c.result_state == ResultState.AWAITING_CONFIRMATION
    status = case((is_held, MatchStatus.IN_PLAY.value), else_=matches.c.status).label("status")
    about = (matches.c.kick_off, matches.c.kick_off_precision, status, matches.c.missing_since)
    statement = (
        select(rounds.c.id, rounds.c.position, *about)
        .select_from(rounds.outerjoin(matches, matches.c.round_id == rounds.c.id))
        .where(rounds.c.tournament_id == tournament_id)
        .order_by(rounds.c.position)
    )
    rows = (await connection.execute(statement)).all()
    known: dict[tuple[RoundId, int], list[datetime]] = {}
    played: list[tuple[MatchStatus, datetime | None]] = []
    for row in rows:
        kick_offs = known.setdefault((RoundId(row.id), row.position), [])
        if row.status is None:
            continue
        if row.kick_off is not None and row.kick_off_precision != KickOffPrecision.UNKNOWN:
            kick_offs.append(row.kick_off)
        if row.missing_since is None:
            played.append((MatchStatus(row.status), row.kick_off))
    return [RoundKickOffs(*key, tuple(kick_offs)) for key, kick_offs in known.items()], played


async def begin_rounds(connection: "AsyncConnection", tournament_id: TournamentId, current: RoundId) -> None:
    """Keep the board's version at the switch to this round, for all rounds with matches up to it that have none yet."""
    position = select(rounds.c.position).where(rounds.c.id == current).scalar_subquery()
    version = select(tournaments.c.settled_version).where(tournaments.c.id == tournament_id).scalar_subquery()
    now = select(func.clock_timestamp()).scalar_subquery()  # one instant for all of them
    await connection.execute(
        update(rounds)
        .where(
            rounds.c.tournament_id == tournament_id,
            rounds.c.position <= position,
            rounds.c.baseline_version.is_(None),
            exists().where(matches.c.round_id == rounds.c.id),
        )
        .values(baseline_version=version, baseline_at=now)
    )


async def is_renamed(connection: "AsyncConnection", former: RoundId | None, current: RoundId) -> bool:
    """Whether a round is `former` under another provider's name: that has no matches left, and this has begun."""
    has_begun = exists().where(rounds.c.id == current, rounds.c.baseline_version.is_not(None))
    has_matches = exists().where(matches.c.round_id == former)
    found: bool = (await connection.execute(select(has_begun & ~has_matches))).scalar_one()
    return former is not None and found


# ---------------------------------------------------------------- standings


async def read_standings(connection: "AsyncConnection", tournament_id: TournamentId) -> set[tuple[Any, ...]]:
    columns = [standings.c[name] for name in _STANDING_COLUMNS]
    rows = await connection.execute(select(*columns).where(standings.c.tournament_id == tournament_id))
    return {tuple(row) for row in rows}


async def replace_standings(
    connection: "AsyncConnection", tournament_id: TournamentId, rows: Iterable[tuple[Any, ...]]
) -> None:
    await connection.execute(delete(standings).where(standings.c.tournament_id == tournament_id))
    new = [{"tournament_id": tournament_id, **dict(zip(_STANDING_COLUMNS, row, strict=True))} for row in rows]
    if new:
        await connection.execute(insert(standings), new)


def standing_rows(groups: Iterable[StandingsGroupSnapshot], team_ids: dict[str, TeamId]) -> set[tuple[Any, ...]]:
    """Rows as they are stored; a single table has the empty group name."""
    return {
        (
            group.name or "",
            team_ids[row.team_key],
            group.is_computed,
            row.position,
            row.played,
            row.won,
            row.drawn,
            row.lost,
            row.goals_for,
            row.goals_against,
            row.points,
        )
        for group in groups
        for row in group.rows
    }


_STANDING_COLUMNS = (
    "group_name",
    "team_id",
    "is_computed",
    "position",
    "played",
    "won",
    "drawn",
    "lost",
    "goals_for",
    "goals_against",
    "points",
)
