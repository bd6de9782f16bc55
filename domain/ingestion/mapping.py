"""From a snapshot to rows: the columns that an item gives its match, and what may be said of its result. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.ids import TeamId
from domain.ingestion.finality.rules import is_over, waiting_boards
from domain.ingestion.model import References, StoredMatch
from domain.ingestion.rules import VOID, lock_of
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind, ResultState

_PARTS = ("goals", "regulation", "extra_time", "shoot_out")
# What a match shows of its result.
_RESULT_COLUMNS = (
    "status",
    "minute",
    *(f"{side}_{part}" for part in _PARTS for side in ("home", "away")),
    "result_kind",
    "hold_reason",
    "data_warning",
)
GONE_SCORE = "is settled or final here, and the provider now has no result for it; kept as it is"


def match_values(
    match: MatchSnapshot, references: References, stored: StoredMatch | None, now: datetime, hold: str | None = None
) -> dict[str, Any]:
    """The columns that ingestion owns (`MATCH_COLUMNS`). `hold`: why its result is held back, for members."""
    kick_off = match.kick_off if match.kick_off_precision is not KickOffPrecision.UNKNOWN else None
    return {
        "round_id": references.rounds[match.round_slug],
        "home_team_id": _team(references, match.home_team_key),
        "away_team_id": _team(references, match.away_team_key),
        "home_label": match.home_label,
        "away_label": match.away_label,
        "kick_off": kick_off,
        "kick_off_precision": match.kick_off_precision.value,
        "lock_at": lock_of(match, stored.lock_at if stored else None, now),
        "status": match.status.value,
        "minute": match.minute if match.status is MatchStatus.IN_PLAY else None,
        **_pair("goals", _shown(match)),
        **_pair("regulation", match.regulation),
        **_pair("extra_time", match.after_extra_time),
        **_pair("shoot_out", match.shoot_out),
        "result_kind": kind_of(match).value,
        "hold_reason": hold or waiting_boards(match),
        "data_warning": match.data_warning,
        "stadium": match.stadium,
    }


def keep_result(values: dict[str, Any], stored: StoredMatch) -> dict[str, Any]:
    """The columns of a reading, but for what is known of the result already."""
    return values | {name: stored.values[name] for name in _RESULT_COLUMNS}


def says_the_same(values: dict[str, Any], stored: StoredMatch) -> bool:
    """Whether a reading tells nothing new of a result."""
    told = (name for name in _RESULT_COLUMNS if name not in ("hold_reason", "data_warning"))
    return all(values[name] == stored.values[name] for name in told)


def turned(stored: StoredMatch) -> StoredMatch:
    """A stored match with its score as it is once the teams have changed sides."""
    sides = {f"home_{part}": stored.values[f"away_{part}"] for part in _PARTS}
    sides |= {f"away_{part}": stored.values[f"home_{part}"] for part in _PARTS}
    return replace(stored, values=stored.values | sides)


def kind_of(match: MatchSnapshot) -> ResultKind:
    """How the result came about, as the provider tells it."""
    return ResultKind.VOID if match.status in VOID else match.kind


def state_of(match: MatchSnapshot, stored: StoredMatch | None, hold: str | None = None) -> ResultState:
    """What may be said of the result: one that was accepted stays until another one is."""
    if stored is not None and stored.result_state is ResultState.FINAL:
        return ResultState.FINAL
    if match.status is MatchStatus.IN_PLAY:
        return ResultState.PROVISIONAL
    if not is_over(match):
        return ResultState.NONE
    if hold is not None:
        return ResultState.AWAITING_CONFIRMATION
    return ResultState.VOID if match.status in VOID else ResultState.FINAL


def lost_result(match: MatchSnapshot, stored: StoredMatch) -> bool:
    """Whether a match that was final is now told as if it had none: a reading to refuse, not to believe."""
    has_score = match.regulation is not None or match.after_extra_time is not None
    over = match.status in VOID or (match.status is MatchStatus.ENDED and has_score)
    return stored.result_state is ResultState.FINAL and not over


def _team(references: References, key: str | None) -> TeamId | None:
    return references.teams[key] if key is not None else None


def _shown(match: MatchSnapshot) -> Goals | None:
    if match.status is MatchStatus.IN_PLAY:
        return match.running
    return match.after_extra_time or match.regulation


def _pair(part: str, goals: Goals | None) -> dict[str, int | None]:
    home, away = goals if goals is not None else (None, None)
    return {f"home_{part}": home, f"away_{part}": away}
