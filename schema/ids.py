"""Global ids: opaque, stable, unique over all types. `Kind:part:part` in base64url without padding."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar, cast
from uuid import UUID

from domain.errors import NotFound
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

if TYPE_CHECKING:  # commands read ids too, and would load it for nothing
    import strawberry

T = TypeVar("T")
_LONGEST = 300
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MalformedId(ValueError):
    """Not an id of ours, or of another kind."""


def encode(kind: str, *parts: object) -> str:
    """The global id of an object; None is an empty part."""
    return base64.urlsafe_b64encode(_joined(kind, *parts)).rstrip(b"=").decode()


def encode_each(
    kind: str, uuids: Sequence[bytes], before: Sequence[object] = (), after: Sequence[object] = ()
) -> list[bytes]:
    """The global ids of objects that differ in one part, as JSON: UUIDs of 16 bytes, between what all have."""
    head, tail = _joined(kind, *before, ""), _joined("", *after)
    texts = (head + one.hex().encode() + tail for one in uuids)
    return [b'"%b"' % base64.urlsafe_b64encode(text).rstrip(b"=") for text in texts]


def decode(global_id: str, kind: str) -> tuple[str, ...]:
    """The parts of a global id of this kind.

    Raises:
        MalformedId: it is something else.
    """
    found, parts = split(global_id)
    if found != kind:
        raise MalformedId(global_id)
    return parts


def split(global_id: str) -> tuple[str, tuple[str, ...]]:
    """Kind and parts of a global id.

    Raises:
        MalformedId: it is not one of ours.
    """
    if len(global_id) > _LONGEST:
        raise MalformedId
    try:
        raw = base64.b64decode(global_id + "=" * (-len(global_id) % 4), altchars=b"-_", validate=True)
        kind, *parts = raw.decode("ascii").split(":")
    except (binascii.Error, ValueError) as problem:
        raise MalformedId(global_id) from problem
    if encode(kind, *parts) != global_id:  # one object, one id
        raise MalformedId(global_id)
    return kind, tuple(parts)


def global_id(kind: str, *parts: object) -> "strawberry.ID":
    """The global id of an object, as a field's value."""
    return cast("strawberry.ID", encode(kind, *parts))


def member_id(text: str) -> MemberId | None:
    return _one(text, "Member", MemberId)


def session_id(text: str) -> SessionId | None:
    return _one(text, "Session", SessionId)


def tournament_id(text: str) -> TournamentId | None:
    return _one(text, "Tournament", TournamentId)


def round_id(text: str) -> RoundId | None:
    return _one(text, "Round", RoundId)


def team_id(text: str) -> TeamId | None:
    return _one(text, "Team", TeamId)


def match_id(text: str) -> MatchId | None:
    return _one(text, "Match", MatchId)


def ruleset_id(text: str) -> RulesetId | None:
    return _one(text, "Ruleset", RulesetId)


def league_id(text: str) -> LeagueId | None:
    return _one(text, "League", LeagueId)


def league_tournament_id(text: str) -> tuple[LeagueId, TournamentId] | None:
    """A league and a tournament that it plays."""
    try:
        league_part, tournament_part = decode(text, "LeagueTournament")
        return LeagueId(uuid_part(league_part)), TournamentId(uuid_part(tournament_part))
    except ValueError:
        return None


def league_membership_id(text: str) -> tuple[LeagueId, LeagueMembershipId] | None:
    """A league, and the membership of somebody in it."""
    try:
        league_part, part = decode(text, "LeagueMembership")
        return LeagueId(uuid_part(league_part)), LeagueMembershipId(uuid_part(part))
    except ValueError:
        return None


def league_invite_id(text: str) -> tuple[LeagueId, LeagueInviteId] | None:
    """A league, and an invite to it."""
    try:
        league_part, part = decode(text, "LeagueInvite")
        return LeagueId(uuid_part(league_part)), LeagueInviteId(uuid_part(part))
    except ValueError:
        return None


def health_problem_id(text: str) -> tuple[TournamentId, str] | None:
    """A tournament, and the key of a problem of its data."""
    try:
        tournament_part, *key = decode(text, "HealthProblem")
        return TournamentId(uuid_part(tournament_part)), ":".join(key)
    except ValueError:
        return None


def execution_id(text: str) -> ExecutionId | None:
    return _one(text, "Execution", ExecutionId)


def dead_letter_id(text: str) -> DeadLetterId | None:
    return _one(text, "DeadLetter", DeadLetterId)


def schedule_id(text: str) -> ScheduleId | None:
    return _one(text, "Schedule", ScheduleId)


def instant_text(instant: datetime) -> str:
    """An instant as a part of an id: microseconds since 1970."""
    return str((instant - _EPOCH) // timedelta(microseconds=1))


def instant_part(text: str) -> datetime:
    """A part that is an instant in its one spelling.

    Raises:
        MalformedId: it is not.
    """
    try:
        found = _EPOCH + timedelta(microseconds=int(text))
    except (ValueError, OverflowError) as problem:
        raise MalformedId(text) from problem
    if instant_text(found) != text:
        raise MalformedId(text)
    return found


def required(found: T | None, what: str, *field: str) -> T:
    """An id that was given must name an object of its kind.

    Raises:
        NotFound: it cannot; `field` is the path below `input`, or the argument.
    """
    if found is None:
        raise NotFound(f"There is no such {what}.", field=field or None)
    return found


def optional_id(text: str | None, read: Callable[[str], T | None], what: str, *field: str) -> T | None:
    """An id that may be left out; when it is given, it must name an object of its kind.

    Raises:
        NotFound: it cannot.
    """
    if not isinstance(text, str):  # null, or UNSET
        return None
    return required(read(text), what, *field)


def uuid_part(text: str) -> UUID:
    """A part that is a UUID in its one spelling.

    Raises:
        MalformedId: it is not.
    """
    try:
        found = UUID(text)
    except ValueError as problem:
        raise MalformedId(text) from problem
    if found.hex != text:
        raise MalformedId(text)
    return found


def number_part(text: str) -> int:
    """A part that is a number of the database in its one spelling.

    Raises:
        MalformedId: it is not.
    """
    if not (text.isascii() and text.isdecimal() and str(int(text[:20])) == text and int(text) < 2**63):
        raise MalformedId(text)
    return int(text)


def _one(text: str, kind: str, make: Callable[[UUID], T]) -> T | None:
    """The id in a global id of one part; None when it is no such id."""
    try:
        (part,) = decode(text, kind)
        return make(uuid_part(part))
    except ValueError:
        return None


def _joined(*parts: object) -> bytes:
    return ":".join(["" if part is None else _text(part) for part in parts]).encode()


def _text(part: object) -> str:
    return part.hex if isinstance(part, UUID) else str(part)
