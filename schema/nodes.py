"""`Query.node`: any object by its id, under the rights of the typed path to it; everything else is null."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from domain.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from domain.ids import (
    DeadLetterId,
    ExecutionId,
    LeagueId,
    LeagueInviteId,
    LeagueMembershipId,
    MatchId,
    MemberId,
    RoundId,
    RulesetId,
    ScheduleId,
    SessionId,
    TeamId,
    TournamentId,
)
from domain.leaderboard.board import OpenBoard
from resolvers import (
    audit as audit_log,
)
from resolvers import (
    correction as corrections,
)
from resolvers import (
    dead_letter as dead_letters,
)
from resolvers import (
    execution as executions,
)
from resolvers import (
    export as exports,
)
from resolvers import (
    guess as guesses,
)
from resolvers import (
    health as health_problems,
)
from resolvers import (
    leaderboard as leaderboards,
)
from resolvers import (
    league as leagues,
)
from resolvers import (
    match as matches,
)
from resolvers import (
    member as members,
)
from resolvers import (
    ruleset as rulesets,
)
from resolvers import (
    schedule as schedules,
)
from resolvers import (
    tournament as tournaments,
)
from schema import (
    admin_member,
    audit,
    correction,
    dead_letter,
    execution,
    export,
    guess,
    health,
    leaderboard,
    league,
    match,
    member,
    ruleset,
    schedule,
    session_types,
    tournament,
    viewer,
)
from schema.boards import RowBatch, board_key
from schema.context import Info
from schema.ids import MalformedId, instant_part, number_part, split, uuid_part
from schema.moments import read_moment_parts
from schema.shared import Node

Finder: TypeAlias = Callable[[Info, Sequence[str]], Awaitable[Node | None]]


async def find_node(info: Info, global_id: str) -> Node | None:
    """The object, or None when it does not exist, may not be seen, or the id makes no sense."""
    try:
        kind, parts = split(global_id)
        find = FINDERS.get(kind)
        return await find(info, parts) if find is not None else None
    except (MalformedId, NotFound, Forbidden, Unauthenticated, InvalidInput):
        return None


async def _member(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await members.read(info.context, member_id=MemberId(uuid_part(part)))
    return member.Member.from_domain(found) if found else None


async def _viewer(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    account = await members.viewer(info.context)
    return viewer.Viewer.from_domain(account) if account and account.id == uuid_part(part) else None


async def _tournament(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await tournaments.read(info.context, tournament_id=TournamentId(uuid_part(part)))
    return tournament.Tournament.from_domain(found) if found else None


async def _round(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await tournaments.read_round(info.context, round_id=RoundId(uuid_part(part)))
    return tournament.Round.from_domain(found) if found else None


async def _team(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await tournaments.read_team(info.context, team_id=TeamId(uuid_part(part)))
    return tournament.Team.from_domain(found) if found else None


async def _ruleset(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await rulesets.read(info.context, ruleset_id=RulesetId(uuid_part(part)))
    return ruleset.Ruleset.from_domain(found) if found else None


async def _match(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await matches.read(info.context, match_id=MatchId(uuid_part(part)))
    return match.Match.from_domain(found) if found else None


async def _correction(info: Info, parts: Sequence[str]) -> Node | None:
    match_part, revision_part = _exactly(parts, 2)
    revision = int(revision_part) if revision_part.isdecimal() and len(revision_part) < 10 else 0
    found = await corrections.read(info.context, match_id=MatchId(uuid_part(match_part)), revision=revision)
    return correction.Correction.from_domain(found) if found else None


async def _guess(info: Info, parts: Sequence[str]) -> Node | None:
    tournament_part, match_part, member_part = _exactly(parts, 3)
    found = await guesses.read(
        info.context, match_id=MatchId(uuid_part(match_part)), member_id=MemberId(uuid_part(member_part))
    )
    is_it = found is not None and found.tournament_id == uuid_part(tournament_part)
    return guess.Guess.from_domain(found) if found and is_it else None


async def _leaderboard(info: Info, parts: Sequence[str]) -> Node | None:
    board = await _open_board(info, parts[:3], parts[3:])
    return leaderboard.Leaderboard.from_domain(board)


async def _leaderboard_row(info: Info, parts: Sequence[str]) -> Node | None:
    board = await _open_board(info, parts[:3], parts[4:])
    row = await board.row_of(MemberId(uuid_part(parts[3]))) if len(parts) > 3 else None
    return leaderboard.LeaderboardRow.from_domain(row, RowBatch(board, [row])) if row else None


async def _open_board(info: Info, key_parts: Sequence[str], moment: Sequence[str]) -> OpenBoard:
    """The board of an id: its key, then for others than the present one the moment and what counts."""
    key = board_key(_exactly(key_parts, 3))
    as_of, settled_only = read_moment_parts(_exactly(moment, 2) if moment else ())
    return await leaderboards.open_board(info.context, key=key, as_of=as_of, settled_only=settled_only)


async def _league(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await leagues.read(info.context, league_id=LeagueId(uuid_part(part)))
    return league.League.from_domain(found) if found else None


async def _league_membership(info: Info, parts: Sequence[str]) -> Node | None:
    league_part, part = _exactly(parts, 2)
    found = await leagues.read_membership(
        info.context, league_id=LeagueId(uuid_part(league_part)), membership_id=LeagueMembershipId(uuid_part(part))
    )
    return league.LeagueMembership.from_domain(found) if found else None


async def _league_tournament(info: Info, parts: Sequence[str]) -> Node | None:
    league_part, part = _exactly(parts, 2)
    found = await leagues.read_link(
        info.context, league_id=LeagueId(uuid_part(league_part)), tournament_id=TournamentId(uuid_part(part))
    )
    return league.LeagueTournament.from_domain(found) if found else None


async def _league_invite(info: Info, parts: Sequence[str]) -> Node | None:
    league_part, part = _exactly(parts, 2)
    found = await leagues.read_invite(
        info.context, league_id=LeagueId(uuid_part(league_part)), invite_id=LeagueInviteId(uuid_part(part))
    )
    return league.LeagueInvite.from_domain(found, info.context.services.public_url) if found else None


async def _execution(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await executions.read(info.context, execution_id=ExecutionId(uuid_part(part)))
    return execution.Execution.from_domain(found, info.context.services.report_url) if found else None


async def _export(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await exports.read(info.context, export_id=ExecutionId(uuid_part(part)))
    return export.Export.from_domain(found, info.context.services) if found else None


async def _dead_letter(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await dead_letters.read(info.context, dead_letter_id=DeadLetterId(uuid_part(part)))
    return dead_letter.DeadLetter.from_domain(found) if found else None


async def _session(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await members.own_session(info.context, session_id=SessionId(uuid_part(part)))
    return session_types.Session.from_domain(found) if found else None


async def _admin_member(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await members.read_managed(info.context, member_id=MemberId(uuid_part(part)))
    return admin_member.AdminMember.from_domain(found) if found else None


async def _health_problem(info: Info, parts: Sequence[str]) -> Node | None:
    tournament_part, *key = parts
    found = await health_problems.read_problem(
        info.context, tournament_id=TournamentId(uuid_part(tournament_part)), key=":".join(key)
    )
    return health.HealthProblem.from_domain(found) if found else None


async def _schedule(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await schedules.read(info.context, schedule_id=ScheduleId(uuid_part(part)))
    return schedule.Schedule.from_domain(found) if found else None


async def _schedule_run(info: Info, parts: Sequence[str]) -> Node | None:
    schedule_part, slot_part = _exactly(parts, 2)
    found = await schedules.read_run(
        info.context, schedule_id=ScheduleId(uuid_part(schedule_part)), slot=instant_part(slot_part)
    )
    return schedule.ScheduleRun.from_domain(found) if found else None


async def _audit_entry(info: Info, parts: Sequence[str]) -> Node | None:
    (part,) = _exactly(parts, 1)
    found = await audit_log.read(info.context, entry_id=number_part(part))
    return audit.AuditEntry.from_domain(found) if found else None


def _exactly(parts: Sequence[str], count: int) -> Sequence[str]:
    if len(parts) != count:
        raise MalformedId(":".join(parts))
    return parts


FINDERS: Mapping[str, Finder] = {
    "Member": _member,
    "Viewer": _viewer,
    "Tournament": _tournament,
    "Round": _round,
    "Team": _team,
    "Ruleset": _ruleset,
    "Match": _match,
    "Correction": _correction,
    "Guess": _guess,
    "Leaderboard": _leaderboard,
    "LeaderboardRow": _leaderboard_row,
    "League": _league,
    "LeagueMembership": _league_membership,
    "LeagueTournament": _league_tournament,
    "LeagueInvite": _league_invite,
    "Execution": _execution,
    "Export": _export,
    "DeadLetter": _dead_letter,
    "HealthProblem": _health_problem,
    "Session": _session,
    "AdminMember": _admin_member,
    "Schedule": _schedule,
    "AuditEntry": _audit_entry,
    "ScheduleRun": _schedule_run,
}
