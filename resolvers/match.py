"""Matches: one, those of a tournament or round, and those that wait for the viewer."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import InvalidInput
from domain.ids import MatchId, RoundId, TeamId, TournamentId
from domain.match import rules
from domain.match import service as matches
from domain.match.form import rules as form_rules
from domain.match.form.model import FormResult
from domain.match.model import Match, MatchStatus
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, instant, instant_or_none, page_size
from resolvers.permissions import allow, anyone, member


@allow(anyone)
async def read(context: Context, *, match_id: MatchId) -> Match | None:
    """One match."""
    return await context.loaders.match.load(match_id)


@allow(anyone)
async def watch(context: Context) -> None:
    """The right to follow matches."""


async def page_of_tournament(
    context: Context,
    tournament_id: TournamentId,
    *,
    first: int,
    after: str | None,
    round_id: RoundId | None = None,
    statuses: Sequence[MatchStatus] | None = None,
) -> Page[Match]:
    """Matches of a tournament, or of one of its rounds, by kick-off; those without a date last."""
    cursors = Cursors("matches", tournament_id, round_id, sorted(statuses) if statuses is not None else None)
    rows, total = await matches.page_of_tournament(
        context.database,
        tournament_id,
        round_id=round_id,
        statuses=statuses,
        first=page_size(first),
        after=_place(cursors, after),
    )
    return _cut(cursors, _known(context, rows), first, after, total)


@allow(member)
async def today(context: Context, *, time_zone: str | None, first: int, after: str | None) -> Page[Match]:
    """Matches of the viewer's tournaments that kick off today in a time zone (default: the profile's)."""
    zone = _zone(time_zone) if time_zone is not None else ZoneInfo(_profile_zone(context))
    start, end = rules.day_of(context.services.clock(), zone)
    cursors = Cursors("viewer.matchesToday", zone.key)
    rows, total = await matches.matches_today(
        context.database, context.member_id, start, end, first=page_size(first), after=_place(cursors, after)
    )
    return _cut(cursors, _known(context, rows), first, after, total)


@allow(member)
async def to_guess(context: Context, *, first: int, after: str | None) -> Page[Match]:
    """Open matches of the viewer's tournaments that lack the viewer's guess, by lock."""
    cursors = Cursors("viewer.matchesToGuess")
    lock_at, match_id = cursors.read(after, instant, UUID) if after is not None else (None, None)
    rows, total = await matches.matches_to_guess(
        context.database,
        context.member_id,
        first=page_size(first),
        after=(lock_at, match_id) if lock_at and match_id else None,
    )

    def cursor(row: Match) -> str:
        when, found_id = rules.lock_position(row) or (None, row.id)
        return cursors.write(_text(when), found_id)

    return cut(_known(context, rows), first, after=after, cursor=cursor, total=total)


def _known(context: Context, rows: Sequence[Match]) -> Sequence[Match]:
    """Spares the fields below these matches another read of them."""
    context.loaders.match.prime_many({row.id: row for row in rows})
    return rows


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise InvalidInput("`timeZone` must be an IANA zone such as `Europe/Lisbon`.", field=("timeZone",)) from problem


def _profile_zone(context: Context) -> str:
    return context.viewer.account.time_zone if context.viewer else "UTC"


def _place(cursors: Cursors, after: str | None) -> tuple[datetime | None, MatchId] | None:
    if after is None:
        return None
    kick_off, match_id = cursors.read(after, instant_or_none, UUID)
    return kick_off, MatchId(match_id)


def _cut(cursors: Cursors, rows: Sequence[Match], first: int, after: str | None, total: int) -> Page[Match]:
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(_text(row.kick_off), row.id), total=total)


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


async def form(
    context: Context, tournament_id: TournamentId, team_id: TeamId | None, *, before: datetime | None = None
) -> list[FormResult]:
    """A team's last results in a tournament, oldest first; of a side that is not drawn none."""
    results = await context.loaders.results.load(tournament_id)
    return form_rules.form(results, team_id, before) if results is not None and team_id is not None else []
