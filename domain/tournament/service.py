"""Reading tournaments, and joining them."""

from collections.abc import Iterable, Sequence

from domain.audit import service as audit
from domain.audit.model import Act
from domain.database import Database
from domain.errors import NotFound
from domain.ids import MemberId, RoundId, TeamId, TournamentId
from domain.member import store as member_store
from domain.tournament import store
from domain.tournament.model import Round, StandingsGroup, Team, Tournament, TournamentStatus
from domain.tournament.rules import LISTED


async def read_tournaments(database: Database, ids: Iterable[TournamentId]) -> dict[TournamentId, Tournament]:
    """Those of the tournaments that exist, cancelled ones too."""
    async with database.read() as connection:
        return {found.id: found for found in await store.read_tournaments(connection, ids)}


async def page(
    database: Database,
    *,
    statuses: Sequence[TournamentStatus] | None = None,
    joined_by: MemberId | None = None,
    joined: bool | None = None,
    first: int,
    after: tuple[int, str, TournamentId] | None = None,
) -> list[Tournament]:
    """Tournaments, active ones first, then upcoming, then completed, each by label; cancelled ones only when asked for.

    Up to `first` + 1 of those after `after` (see `rules.list_position`). `joined` narrows them to those that the member
    `joined_by` has joined (true) or not joined (false).
    """
    asked = LISTED if statuses is None else statuses
    async with database.read() as connection:
        return await store.page(
            connection, statuses=asked, joined_by=joined_by, joined=joined, first=first, after=after
        )


async def read_rounds(database: Database, ids: Iterable[RoundId]) -> dict[RoundId, Round]:
    async with database.read() as connection:
        return {found.id: found for found in await store.read_rounds(connection, ids)}


async def rounds_of(database: Database, tournament_ids: Iterable[TournamentId]) -> dict[TournamentId, list[Round]]:
    """Rounds of each tournament, in order."""
    rounds: dict[TournamentId, list[Round]] = {}
    async with database.read() as connection:
        for found in await store.rounds_of(connection, tournament_ids):
            rounds.setdefault(found.tournament_id, []).append(found)
    return rounds


async def round_by_slug(database: Database, tournament_id: TournamentId, slug: str) -> Round | None:
    async with database.read() as connection:
        return await store.round_by_slug(connection, tournament_id, slug)


async def read_teams(database: Database, ids: Iterable[TeamId]) -> dict[TeamId, Team]:
    async with database.read() as connection:
        return {found.id: found for found in await store.read_teams(connection, ids)}


async def standings_of(
    database: Database, tournament_ids: Iterable[TournamentId]
) -> dict[TournamentId, list[StandingsGroup]]:
    """Team tables by group name; a tournament without any is left out."""
    async with database.read() as connection:
        return await store.standings_of(connection, tournament_ids)


async def joined(database: Database, member_id: MemberId, tournament_ids: Iterable[TournamentId]) -> set[TournamentId]:
    """Those of the tournaments that the member has joined."""
    async with database.read() as connection:
        return await store.joined(connection, member_id, tournament_ids)


async def join(database: Database, member_id: MemberId, tournament_id: TournamentId, request_id: str) -> None:
    """Enter a member into a tournament; joining twice changes nothing.

    Raises:
        NotFound: there is no such tournament.
        Unauthenticated: the account is deleted at this very moment.
    """
    async with database.begin() as connection:
        if not await store.read_tournaments(connection, [tournament_id]):
            raise NotFound("There is no such tournament.", field=("tournamentId",))
        await member_store.lock_member(connection, member_id)
        if await store.join_many(connection, member_id, [tournament_id]):
            act = Act("joinTournament", member_id, request_id, subject_kind="TOURNAMENT", subject_id=tournament_id)
            await audit.record(connection, act)
