"""From a snapshot to rows: which stored match an item is, and the columns that it gives it. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from domain.ids import MatchId, TeamId
from domain.ingestion.model import References, StoredMatch
from domain.ingestion.rules import VOID, lock_of
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind, ResultState

NO_SCORE = "The match has ended, and the provider gives no score for it."
# What a match shows of its result.
_RESULT_COLUMNS = (
    "status",
    "minute",
    *(f"{side}_{part}" for part in ("goals", "regulation", "extra_time", "shoot_out") for side in ("home", "away")),
    "result_kind",
    "hold_reason",
    "data_warning",
)
GONE_SCORE = "is settled or final here, and the provider now has no result for it; kept as it is"


def match_values(
    match: MatchSnapshot, references: References, stored: StoredMatch | None, now: datetime
) -> dict[str, Any]:
    """The columns that ingestion owns (`store.MATCH_COLUMNS`)."""
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
        "hold_reason": NO_SCORE if match.status is MatchStatus.ENDED and match.regulation is None else None,
        "data_warning": match.data_warning,
        "stadium": match.stadium,
    }


def keep_result(values: dict[str, Any], stored: StoredMatch) -> dict[str, Any]:
    """The columns of a reading, but for what an admin has set."""
    return values | {name: stored.values[name] for name in _RESULT_COLUMNS}


def kind_of(match: MatchSnapshot) -> ResultKind:
    """How the result came about, as the provider tells it."""
    return ResultKind.VOID if match.status in VOID else match.kind


def state_of(match: MatchSnapshot, stored: StoredMatch | None) -> ResultState:
    """What may be said of the result before it is accepted: a result once accepted stays until another one is."""
    if stored is not None and stored.result_state is ResultState.FINAL:
        return ResultState.FINAL
    if match.status in VOID:
        return ResultState.VOID
    if match.status is MatchStatus.IN_PLAY:
        return ResultState.PROVISIONAL
    if match.status is MatchStatus.ENDED:
        return ResultState.AWAITING_CONFIRMATION if match.regulation is None else ResultState.FINAL
    return ResultState.NONE


def lost_result(match: MatchSnapshot, stored: StoredMatch) -> bool:
    """Whether a match that was final is now told as if it had none: a reading to refuse, not to believe."""
    over = match.status in VOID or (match.status is MatchStatus.ENDED and match.regulation is not None)
    return stored.result_state is ResultState.FINAL and not over


def link(
    unknown: Iterable[MatchSnapshot], unseen: Iterable[StoredMatch], team_ids: Mapping[str, TeamId]
) -> dict[str, MatchId]:
    """Stored matches that come back under another key: same home and away team, no second such on either side."""
    candidates = list(unknown)
    pairs = {match.key: _sides(match, team_ids) for match in candidates}
    left = [match for match in unseen if None not in match.sides]
    wanted, stored = Counter(pairs.values()), Counter(match.sides for match in left)
    by_sides = {match.sides: match.id for match in left if stored[match.sides] == 1}
    return {key: by_sides[sides] for key, sides in pairs.items() if wanted[sides] == 1 and sides in by_sides}


def _sides(match: MatchSnapshot, team_ids: Mapping[str, TeamId]) -> tuple[TeamId | None, TeamId | None]:
    return team_ids.get(match.home_team_key or ""), team_ids.get(match.away_team_key or "")


def _team(references: References, key: str | None) -> TeamId | None:
    return references.teams[key] if key is not None else None


def _shown(match: MatchSnapshot) -> Goals | None:
    if match.status is MatchStatus.IN_PLAY:
        return match.running
    return match.after_extra_time or match.regulation


def _pair(part: str, goals: Goals | None) -> dict[str, int | None]:
    home, away = goals if goals is not None else (None, None)
    return {f"home_{part}": home, f"away_{part}": away}
