"""What an item makes of its match: the columns, what may be said of the result, and whether it is accepted. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.ingestion import mapping
from domain.ingestion.finality.model import HeldReading
from domain.ingestion.finality.rules import content_of, held_back, is_over, missing_part
from domain.ingestion.model import Reading, References, StoredMatch
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import KickOffPrecision, ResultState

ACCEPTED = (ResultState.FINAL, ResultState.VOID)
_UNKNOWN = "which is not known here: the match is not settled."


@dataclass(frozen=True, slots=True)
class Verdict:
    """`values` are the columns that ingestion owns."""

    values: dict[str, Any]
    state: ResultState
    accepts: bool
    """Whether the result is one to accept, if it is new."""
    hold: str | None
    """Why it is held back."""
    held: HeldReading | None
    """What is to be compared with the next reading."""


def judge(
    match: MatchSnapshot, stored: StoredMatch | None, references: References, reading: Reading, now: datetime
) -> Verdict:
    """`stored` is the match as it is here, its score turned when the teams have changed sides."""
    values = mapping.match_values(match, references, stored, now)
    if match.unknown_status is not None:
        return _unsettled(match, values, stored)
    hold, held = _hold(match, values, stored, reading)
    values["hold_reason"] = hold or values["hold_reason"]
    state, accepts = mapping.state_of(match, stored, hold), is_over(match) and hold is None
    if stored is not None and (stored.by_admin or (hold is not None and stored.result_state in ACCEPTED)):
        # What an admin has set stays, and so does what was accepted until the news of it are believed.
        values, state = mapping.keep_result(values, stored), stored.result_state
    return Verdict(values, state, accepts, hold, held)


def status_warning(word: str) -> str:
    """How a status that we do not know is reported."""
    return f"The provider says `{word}`, {_UNKNOWN}"


def is_status_warning(warning: str) -> bool:
    """Whether a warning is such a one, not of a score."""
    return warning.endswith(_UNKNOWN)


def _unsettled(match: MatchSnapshot, values: dict[str, Any], stored: StoredMatch | None) -> Verdict:
    warning = {"data_warning": status_warning(match.unknown_status or "")}
    held = stored.held if stored is not None else None
    if stored is None:
        return Verdict(values | warning, mapping.state_of(match, None), accepts=False, hold=None, held=held)
    kept = mapping.keep_result(values, stored) | warning
    return Verdict(kept, stored.result_state, accepts=False, hold=None, held=held)


def _hold(
    match: MatchSnapshot, values: dict[str, Any], stored: StoredMatch | None, reading: Reading
) -> tuple[str | None, HeldReading | None]:
    """Why the end of a match is held back, and what to compare the next reading with."""
    if not is_over(match):
        return None, None
    missing = missing_part(match)
    is_known = stored is not None and stored.result_state in ACCEPTED and mapping.says_the_same(values, stored)
    if reading.gate is None or is_known:
        return missing, None
    before = stored.held if stored is not None else None
    began = match.kick_off if match.kick_off_precision is KickOffPrecision.EXACT else values["lock_at"]
    hold = held_back(match, reading.gate, began=began, held=before, read_at=reading.read_at) or missing
    content = content_of(match)
    if before is not None and before.content == content:
        return hold, before
    return hold, HeldReading(content, reading.read_at)
