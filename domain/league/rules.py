"""Rules of leagues: bounds of their inputs, invite codes, and what a member may do."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from domain.errors import DomainError, Fault
from domain.ids import LeagueId, MemberId, TournamentId
from domain.leaderboard.rules import MAX_COUNTER
from domain.league.model import (
    League,
    LeagueChange,
    LeagueMembership,
    LeaguePermission,
    LeagueRole,
    LeagueTournament,
    LeagueTournamentStatus,
    LinkChange,
)
from domain.member.rules import is_plain
from domain.tournament.model import TournamentStatus

SHORTEST_NAME = 3
LONGEST_NAME = 60
LONGEST_DESCRIPTION = 500
MOST_INVITE_USES = 1000
CODE_LENGTH = 12
# No I, L, O, 0 and 1: a code is read from a screen and typed on a phone. 59 bits in a code.
CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"

_ADMIN_MAY = (
    LeaguePermission.EDIT,
    LeaguePermission.INVITE,
    LeaguePermission.MANAGE_MEMBERS,
    LeaguePermission.MANAGE_TOURNAMENTS,
)
_FOUNDER_MAY = (LeaguePermission.TRANSFER, LeaguePermission.DELETE)


class LastAdmin(DomainError):
    """The founder stays and stays an admin, so a league always has one."""

    code = "LAST_ADMIN"


class InviteInvalid(DomainError):
    """Told alike for a code that is unknown, expired, revoked or used up."""

    code = "INVITE_INVALID"


@dataclass(frozen=True, slots=True)
class LeagueLimits:
    """How large leagues may get."""

    members: int = 2_000
    """In one league."""
    tournaments: int = 20
    """In one league."""
    leagues: int = 100
    """That one member is in."""
    matches: int = MAX_COUNTER
    """Of all its tournaments: what a packed score counts."""


def permissions(league: League, viewer_id: MemberId) -> list[LeaguePermission]:
    """What the member for whom the league was read may do in it."""
    may = list(_ADMIN_MAY) if league.viewer_role is LeagueRole.ADMIN else []
    if league.founder_id == viewer_id:
        return [*may, *_FOUNDER_MAY]
    return [*may, LeaguePermission.LEAVE]


def link_status(status: TournamentStatus) -> LeagueTournamentStatus:
    """How a tournament begins in a league: as it stands itself."""
    if status is TournamentStatus.UPCOMING:
        return LeagueTournamentStatus.UPCOMING
    if status is TournamentStatus.COMPLETED:
        return LeagueTournamentStatus.COMPLETED
    return LeagueTournamentStatus.ACTIVE


def changed_link(link: LeagueTournament, change: LinkChange) -> LeagueTournament:
    """A tournament in a league after a change."""
    return replace(link, status=change.status or link.status, ruleset_id=change.ruleset_id or link.ruleset_id)


def shown_link(link: LeagueTournament) -> dict[str, str]:
    """A tournament in a league as the audit log has it."""
    return {
        "tournamentId": str(link.tournament_id),
        "status": link.status.value,
        "rulesetId": str(link.ruleset_id),
    }


def shown_membership(membership: LeagueMembership) -> dict[str, str]:
    """A membership as the audit log has it."""
    return {"memberId": str(membership.member_id), "role": membership.role.value}


def league_faults(
    name: str, description: str | None, tournament_ids: Sequence[TournamentId], limits: LeagueLimits
) -> list[Fault]:
    """All that is wrong with a new league, whose name and description are stripped already."""
    faults = text_faults(name, description)
    if len(set(tournament_ids)) > limits.tournaments:
        message = f"A league plays at most {limits.tournaments} tournaments."
        faults.append(Fault("LIMIT_REACHED", message, ("tournamentIds",)))
    return faults


def text_faults(name: str, description: str | None) -> list[Fault]:
    """All that is wrong with a name and a description."""
    faults = []
    if not SHORTEST_NAME <= len(name) <= LONGEST_NAME or not is_plain(name):
        faults.append(_fault("name", f"A name has {SHORTEST_NAME} to {LONGEST_NAME} characters, on one line."))
    if description is not None and (len(description) > LONGEST_DESCRIPTION or not is_plain(description, lines=True)):
        faults.append(_fault("description", f"A description has at most {LONGEST_DESCRIPTION} characters."))
    return faults


def changed_league(league: League, change: LeagueChange) -> League:
    """A league after a change of its name or description."""
    name = league.name if change.name is None else change.name.strip()
    description = league.description if change.description is None else change.description.strip() or None
    return replace(league, name=name, description=description)


def raised(league: League) -> League:
    """A league after a change that its boards follow."""
    return replace(league, board_version=league.board_version + 1)


def invite_faults(role: LeagueRole, max_uses: int | None, *, expired: bool) -> list[Fault]:
    """All that is wrong with a new invite."""
    faults = []
    if role is LeagueRole.ADMIN:
        faults.append(_fault("role", "An invite can make members or viewers, not admins."))
    if expired:
        faults.append(_fault("expiresAt", "`expiresAt` must be in the future."))
    if max_uses is not None and not 1 <= max_uses <= MOST_INVITE_USES:
        faults.append(_fault("maxUses", f"An invite can be used 1 to {MOST_INVITE_USES} times."))
    return faults


def new_code(choose: Callable[[str], str] = secrets.choice) -> str:
    """An invite code that cannot be guessed."""
    return "".join(choose(CODE_LETTERS) for _ in range(CODE_LENGTH))


def same_code(code: str) -> str:
    """A code as it is stored, however it was typed."""
    return code.strip().upper()


def list_position(league: League) -> tuple[str, LeagueId]:
    """Where a league stands in lists."""
    return league.name, league.id


def _fault(field: str, message: str) -> Fault:
    return Fault("INVALID_INPUT", message, (field,))
