"""SQL of tournaments, their rounds, teams and team tables, and of who plays them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Row, case, exists, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from domain.guess.tables import tournament_members
from domain.ids import MemberId, RoundId, RulesetId, TeamId, TournamentId
from domain.outbox import store as outbox
from domain.outbox.model import TickKind
from domain.scoring.rules import bases
from domain.settlement.tables import member_scores
from domain.tables import Uuid, among, any_of
from domain.tournament.model import (
    Provider,
    Round,
    RoundKind,
    Standing,
    StandingsGroup,
    StandingsMode,
    Team,
    Tournament,
    TournamentMode,
    TournamentSource,
    TournamentStatus,
)
from domain.tournament.rules import LIST_ORDER
from domain.tournament.tables import rounds, standings, teams, tournaments

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


# ---------------------------------------------------------------- tournaments


# Built once: building takes longer than running.
_TOURNAMENTS = select(tournaments).where(any_of(tournaments.c.id, "ids"))
_TEAMS = select(teams.c.id, teams.c.name, teams.c.short_name).where(any_of(teams.c.id, "ids"))


async def read_tournaments(connection: "AsyncConnection", ids: Iterable[TournamentId]) -> list[Tournament]:
    rows = await connection.execute(_TOURNAMENTS, {"ids": list(ids)})
    return [_to_tournament(row) for row in rows]


async def take_for_update(connection: "AsyncConnection", tournament_id: TournamentId) -> Tournament | None:
    """Read a tournament and keep it as it is until this transaction ends; None when there is none."""
    statement = select(tournaments).where(tournaments.c.id == tournament_id).with_for_update(key_share=True)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_tournament(row)


async def read_unmoved(connection: "AsyncConnection", ids: Iterable[TournamentId]) -> list[Tournament]:
    """The tournaments, kept from changing, their status above all, until the transaction ends."""
    statement = select(tournaments).where(among(tournaments.c.id, ids)).order_by(tournaments.c.id)
    return [_to_tournament(row) for row in await connection.execute(statement.with_for_update(read=True))]


async def write_change(connection: "AsyncConnection", tournament: Tournament) -> None:
    """Store what ingestion does not own. The database refuses another ruleset once a match has locked."""
    values = {
        "label": tournament.label,
        "status": tournament.status,
        "provider": tournament.provider,
        "competition": tournament.competition,
        "provider_season": tournament.provider_season,
        "ruleset_id": tournament.ruleset_id,
    }
    await connection.execute(update(tournaments).where(tournaments.c.id == tournament.id).values(values))


async def has_source(connection: "AsyncConnection", source: TournamentSource) -> bool:
    """Whether there is a tournament of this source."""
    statement = select(tournaments.c.id).where(
        tournaments.c.provider == source.provider,
        tournaments.c.competition == source.competition,
        tournaments.c.provider_season == source.season,
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def page(
    connection: "AsyncConnection",
    *,
    statuses: Iterable[TournamentStatus],
    joined_by: MemberId | None,
    joined: bool | None,
    first: int,
    after: tuple[int, str, TournamentId] | None,
) -> list[Tournament]:
    """Up to `first` + 1 tournaments by status, label and id; `joined` narrows them to those that `joined_by` joined."""
    order = tuple_(_status_order(), tournaments.c.label, tournaments.c.id)
    statement = select(tournaments).where(among(tournaments.c.status, statuses)).order_by(*order).limit(first + 1)
    if joined_by is not None and joined is not None:
        has_joined = exists().where(
            tournament_members.c.tournament_id == tournaments.c.id, tournament_members.c.member_id == joined_by
        )
        statement = statement.where(has_joined if joined else ~has_joined)
    if after is not None:
        statement = statement.where(order > tuple_(literal(after[0]), literal(after[1]), literal(after[2], Uuid)))
    return [_to_tournament(row) for row in await connection.execute(statement)]


async def raise_versions(
    connection: "AsyncConnection", tournament_id: TournamentId, *, board: bool = False, matches: bool = False
) -> None:
    """Raise the counters of what changed, and have it told after the commit. Locks the tournament's row."""
    raised = {name: tournaments.c[name] + 1 for name in _counters(board=board, matches=matches)}
    if not raised:
        return
    await connection.execute(update(tournaments).where(tournaments.c.id == tournament_id).values(raised))
    await tell_versions(connection, tournament_id, board=board, matches=matches)


async def tell_versions(
    connection: "AsyncConnection", tournament_id: TournamentId, *, board: bool = False, matches: bool = False
) -> None:
    """Have raised counters told after the commit."""
    kinds = [TickKind.BOARD] * board + [TickKind.MATCHES] * matches
    await outbox.put_many(connection, [outbox.a_tick(kind, tournament_id) for kind in kinds])


def _counters(*, board: bool, matches: bool) -> list[str]:
    return ["board_version"] * board + ["match_version"] * matches


def _status_order() -> Any:
    return case({status.value: place for place, status in enumerate(LIST_ORDER)}, value=tournaments.c.status)


def _to_tournament(row: Row[Any]) -> Tournament:
    return Tournament(
        id=TournamentId(row.id),
        provider=Provider(row.provider),
        competition=row.competition,
        provider_season=row.provider_season,
        label=row.label,
        season=row.season,
        mode=TournamentMode(row.mode),
        standings_mode=StandingsMode(row.standings_mode),
        status=TournamentStatus(row.status),
        current_round_id=None if row.current_round_id is None else RoundId(row.current_round_id),
        time_zone=row.time_zone,
        ruleset_id=RulesetId(row.ruleset_id),
        settled_version=row.settled_version,
        board_version=row.board_version,
        match_version=row.match_version,
        # No provider gives images yet; their keys will be turned into addresses here.
        logo_url=None,
        standings_at=row.standings_at,
    )


# ---------------------------------------------------------------- rounds, teams, team tables


async def read_rounds(connection: "AsyncConnection", ids: Iterable[RoundId]) -> list[Round]:
    rows = await connection.execute(select(rounds).where(among(rounds.c.id, ids)))
    return [_to_round(row) for row in rows]


async def rounds_of(connection: "AsyncConnection", ids: Iterable[TournamentId]) -> list[Round]:
    """In order."""
    statement = select(rounds).where(among(rounds.c.tournament_id, ids))
    return [_to_round(row) for row in await connection.execute(statement.order_by(rounds.c.position))]


async def round_by_slug(connection: "AsyncConnection", tournament_id: TournamentId, slug: str) -> Round | None:
    statement = select(rounds).where(rounds.c.tournament_id == tournament_id, rounds.c.slug == slug)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_round(row)


async def read_teams(connection: "AsyncConnection", ids: Iterable[TeamId]) -> list[Team]:
    rows = await connection.execute(_TEAMS, {"ids": list(ids)})
    return [Team(TeamId(row.id), row.name, row.short_name, badge_url=None) for row in rows]


async def standings_of(
    connection: "AsyncConnection", ids: Iterable[TournamentId]
) -> dict[TournamentId, list[StandingsGroup]]:
    """Team tables by group name, rows by position, level teams by name."""
    statement = (
        select(standings)
        .join(teams, teams.c.id == standings.c.team_id)
        .where(among(standings.c.tournament_id, ids))
        .order_by(standings.c.tournament_id, standings.c.group_name, standings.c.position, teams.c.name, teams.c.id)
    )
    tables: dict[tuple[TournamentId, str, bool], list[Standing]] = {}
    for row in await connection.execute(statement):
        key = (TournamentId(row.tournament_id), row.group_name, row.is_computed)
        tables.setdefault(key, []).append(_to_standing(row))
    groups: dict[TournamentId, list[StandingsGroup]] = {}
    for (tournament_id, name, is_computed), table in tables.items():
        groups.setdefault(tournament_id, []).append(StandingsGroup(name or None, is_computed, tuple(table)))
    return groups


def _to_round(row: Row[Any]) -> Round:
    return Round(
        id=RoundId(row.id),
        tournament_id=TournamentId(row.tournament_id),
        position=row.position,
        label=row.label,
        slug=row.slug,
        kind=RoundKind(row.kind),
        baseline_version=row.baseline_version,
        baseline_at=row.baseline_at,
    )


def _to_standing(row: Row[Any]) -> Standing:
    return Standing(
        group_name=row.group_name or None,
        position=row.position,
        team_id=TeamId(row.team_id),
        played=row.played,
        won=row.won,
        drawn=row.drawn,
        lost=row.lost,
        goals_for=row.goals_for,
        goals_against=row.goals_against,
        points=row.points,
    )


# ---------------------------------------------------------------- who plays


async def joined(connection: "AsyncConnection", member_id: MemberId, ids: Iterable[TournamentId]) -> set[TournamentId]:
    """Those of the tournaments that the member has joined."""
    statement = select(tournament_members.c.tournament_id).where(
        tournament_members.c.member_id == member_id, among(tournament_members.c.tournament_id, ids)
    )
    return {TournamentId(row.tournament_id) for row in await connection.execute(statement)}


async def joined_ids(connection: "AsyncConnection", member_id: MemberId) -> list[TournamentId]:
    """All tournaments that a member has joined, by id."""
    statement = select(tournament_members.c.tournament_id).where(tournament_members.c.member_id == member_id)
    rows = await connection.execute(statement.order_by(tournament_members.c.tournament_id))
    return [TournamentId(row.tournament_id) for row in rows]


async def join_many(
    connection: "AsyncConnection", member_id: MemberId, tournament_ids: Iterable[TournamentId]
) -> set[TournamentId]:
    """Enter a member into tournaments that exist, with zero points on their boards; which ones were new to the member.

    Call it last in a transaction: joins of one tournament wait for each other from here to the commit. All enter in
    one order (see `outbox.members_changed`).
    """
    found = sorted(await read_tournaments(connection, tournament_ids), key=lambda each: each.id)
    if not found:
        return set()
    entries = [{"tournament_id": tournament.id, "member_id": member_id} for tournament in found]
    entered = insert(tournament_members).values(entries).on_conflict_do_nothing()
    rows = await connection.execute(entered.returning(tournament_members.c.tournament_id))
    new = {TournamentId(row.tournament_id) for row in rows}
    await _add_zero_scores(connection, member_id, [tournament for tournament in found if tournament.id in new])
    await outbox.members_changed(connection, new)
    return new


async def join_all(connection: "AsyncConnection", tournament: Tournament, member_ids: Iterable[MemberId]) -> None:
    """Enter many members into a tournament, with zero points on its boards; as `join_many`, last in a transaction."""
    asked = func.unnest(literal(sorted(member_ids), ARRAY(Uuid))).column_valued("member_id")
    entered = insert(tournament_members).from_select(
        ["tournament_id", "member_id"], select(literal(tournament.id, Uuid), asked)
    )
    entered = entered.on_conflict_do_nothing()
    rows = await connection.execute(entered.returning(tournament_members.c.member_id))
    new = [{"tournament_id": tournament.id, "member_id": row.member_id} for row in rows]
    if new:
        zeros = [{**entry, "basis": basis} for entry in new for basis in bases(tournament.mode)]
        await connection.execute(insert(member_scores), zeros)
        await outbox.members_changed(connection, [tournament.id])


async def _add_zero_scores(connection: "AsyncConnection", member_id: MemberId, found: Sequence[Tournament]) -> None:
    rows = [
        {"tournament_id": tournament.id, "member_id": member_id, "basis": basis}
        for tournament in found
        for basis in bases(tournament.mode)
    ]
    if rows:
        await connection.execute(insert(member_scores).values(rows))
