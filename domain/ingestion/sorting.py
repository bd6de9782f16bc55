"""Sorts the items of a reading: new, changed, come back under another key, or as they were."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.execution.run import Step
from domain.ids import MatchId, new_id
from domain.ingestion import mapping, rules
from domain.ingestion.errors import PrerequisiteMissing
from domain.ingestion.model import Reading, References, StoredMatch
from domain.ingestion.scope import Scope
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import ResultState


@dataclass(slots=True)
class Sorted:
    """What became of each item that is applied."""

    taken: int = 0
    new: dict[MatchId, dict[str, Any]] = field(default_factory=dict)
    changed: dict[MatchId, dict[str, Any]] = field(default_factory=dict)
    named: dict[str, MatchId] = field(default_factory=dict)
    """Keys of the provider that are new here, with the matches that they stand for."""
    gone: list[MatchId] = field(default_factory=list)
    """Stored matches that are no longer listed, and were until now."""
    results: list[tuple[MatchId, MatchSnapshot]] = field(default_factory=list)
    """Matches with a result to accept, where anything about them is new or an admin has set another one."""


def sort(
    reading: Reading,
    references: References,
    stored: dict[MatchId, StoredMatch],
    now: datetime,
    step: Step,
    scope: Scope,
) -> Sorted:
    """What is to be written. Raises PrerequisiteMissing for unknown rounds and teams, unless the scope leaves them out.

    Items are matched with what is stored before any is left out, so that a part of a reading sorts as the whole does.
    """
    snapshot, slugs = reading.snapshot, {key: slug for slug, key in references.rounds.items()}
    known = set(references.matches.values())
    unknown = [match for match in snapshot.matches if match.key not in references.matches]
    linked = mapping.link(unknown, [match for key, match in stored.items() if key not in known], references.teams)
    seen = {match.key: references.matches.get(match.key) or linked.get(match.key) for match in snapshot.matches}
    pairs = [(match, stored.get(key) if (key := seen[match.key]) else None) for match in snapshot.matches]
    taken = [pair for pair in pairs if scope.takes(*pair, slugs)]
    if scope.creates:
        _require([match for match, _ in taken], references)
    found = Sorted(taken=len(taken))
    listed = set(seen.values())
    found.gone = [
        key
        for key, match in stored.items()
        if key not in listed and not match.missing and scope.covers(match, slugs) and not _is_later(match, reading)
    ]
    for match, present in taken:
        if not scope.creates and (fault := _missing([match], references)):
            step.reject(f"{match.key}: {fault}")
        elif present is None or not _is_later(present, reading):
            _take(found, match, present, references, now, step, linked)
    return found


def _take(
    found: Sorted,
    match: MatchSnapshot,
    stored: StoredMatch | None,
    references: References,
    now: datetime,
    step: Step,
    linked: dict[str, MatchId],
) -> None:
    values = mapping.match_values(match, references, stored, now)
    state = mapping.state_of(match, stored)
    if stored is not None and stored.by_admin:
        # Whether it says something else is for the acceptance of results to see: then it waits for an admin.
        if mapping.state_of(match, None) in (ResultState.FINAL, ResultState.VOID):
            found.results.append((stored.id, match))
        values, state = mapping.keep_result(values, stored), stored.result_state
    if stored is None:
        match_id = MatchId(new_id())
        found.named[match.key] = match_id
        found.new[match_id] = {**values, "result_state": _before_acceptance(state, None)}
    else:
        match_id = stored.id
        if match.key in linked:
            found.named[match.key] = match_id
        if not stored.by_admin and mapping.lost_result(match, stored):
            step.reject(f"{match.key}: {mapping.GONE_SCORE}")
            return
        if values == stored.values and not stored.missing and state is stored.result_state:
            return
        found.changed[match_id] = {**values, "result_state": _before_acceptance(state, stored)}
        if stored.by_admin:
            return
    if state in (ResultState.FINAL, ResultState.VOID):
        found.results.append((match_id, match))


def _require(taken: Iterable[MatchSnapshot], references: References) -> None:
    if fault := _missing(taken, references):
        raise PrerequisiteMissing(fault)


def _missing(taken: Iterable[MatchSnapshot], references: References) -> str | None:
    """What must be ingested before these matches can be stored."""
    matches = list(taken)
    if missing := {match.round_slug for match in matches} - references.rounds.keys():
        return f"Ingest the rounds first: {rules.some(missing)} unknown."
    keys = {key for match in matches for key in (match.home_team_key, match.away_team_key) if key}
    if missing := keys - references.teams.keys():
        return f"Ingest the teams first: {rules.some(missing)} unknown."
    return None


def _is_later(stored: StoredMatch, reading: Reading) -> bool:
    """Whether what is stored of a match is from a later reading: of one match or round, applied meanwhile."""
    return stored.checked_at is not None and stored.checked_at > reading.read_at


def _before_acceptance(state: ResultState, stored: StoredMatch | None) -> str:
    """FINAL and VOID are set by the acceptance of the result itself, in the same transaction."""
    if state in (ResultState.FINAL, ResultState.VOID):
        return (stored.result_state if stored else ResultState.NONE).value
    return state.value
