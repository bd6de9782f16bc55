"""Why a result is held back from settlement: it is incomplete, or its provider's gate is not passed. Pure."""

from datetime import datetime

from domain.ingestion.finality.model import Gate, HeldReading
from domain.ingestion.snapshot import MatchSnapshot, content_hash
from domain.match.model import MatchStatus, ResultKind
from domain.match.rules import VOID_STATUSES

NO_SCORE = "The match has ended, and the provider gives no score for it."
NO_EXTRA_TIME = "The match went to extra time, and the provider gives no score for that."
NO_REGULATION = "The score after 90 minutes is missing: boards that count it wait."
NOT_REPEATED = "The result has just come in, and waits for the provider to repeat it."


def is_over(match: MatchSnapshot) -> bool:
    """Whether the provider tells an end, be it that the match pays nobody."""
    return match.status is MatchStatus.ENDED or match.status in VOID_STATUSES


def missing_part(match: MatchSnapshot) -> str | None:
    """Why a match that has ended cannot be settled whatever its provider; no part stands in for another."""
    if match.status is not MatchStatus.ENDED:
        return None
    if match.after_extra_time is None and match.went_to_extra_time:
        return NO_EXTRA_TIME
    return NO_SCORE if match.regulation is None and match.after_extra_time is None else None


def waiting_boards(match: MatchSnapshot) -> str | None:
    """Why boards of one basis wait though the match is settled for the others."""
    lacks_regulation = match.regulation is None and match.after_extra_time is not None
    if match.status is MatchStatus.ENDED and match.kind is ResultKind.PLAYED and lacks_regulation:
        return NO_REGULATION
    return None


def content_of(match: MatchSnapshot) -> str:
    """What two readings must agree in."""
    return content_hash((match.status, match.kind, match.regulation, match.after_extra_time, match.shoot_out))


def held_back(
    match: MatchSnapshot, gate: Gate | None, *, began: datetime | None, held: HeldReading | None, read_at: datetime
) -> str | None:
    """Why the gate does not let an end pass that was read at `read_at`, for people; None when it does.

    `began`: kick-off, or when play was first seen; `held`: what was said of it before.
    """
    if gate is None:
        return None
    is_played = match.status is MatchStatus.ENDED and match.kind is ResultKind.PLAYED
    if is_played and (began is None or read_at < began + gate.shortest_play):
        minutes = int(gate.shortest_play.total_seconds() // 60)
        return f"The match is said to be over less than {minutes} minutes after it began."
    if held is None or held.content != content_of(match) or read_at < held.first_read_at + gate.grace:
        return NOT_REPEATED
    return None
