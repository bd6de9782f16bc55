"""The form of teams from the results of their tournament. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from domain.ids import TeamId
from domain.match.form.model import FormResult, PlayedMatch

LONGEST_FORM = 5

Results: TypeAlias = Mapping[TeamId, Sequence[tuple[datetime, FormResult]]]
"""By team: when each match was played and how it ended for the team, oldest first."""


def results_of(played: Iterable[PlayedMatch]) -> Results:
    """The results of each team; `played` oldest first."""
    found: dict[TeamId, list[tuple[datetime, FormResult]]] = {}
    for match in played:
        lead = match.goals.home - match.goals.away
        found.setdefault(match.home_team_id, []).append((match.kick_off, _result(lead)))
        found.setdefault(match.away_team_id, []).append((match.kick_off, _result(-lead)))
    return found


def form(results: Results, team_id: TeamId, before: datetime | None = None) -> list[FormResult]:
    """A team's last results, oldest first; `before`: of matches that kicked off earlier than that."""
    told = [result for kick_off, result in results.get(team_id, ()) if before is None or kick_off < before]
    return told[-LONGEST_FORM:]


def _result(lead: int) -> FormResult:
    if lead == 0:
        return FormResult.DRAW
    return FormResult.WIN if lead > 0 else FormResult.LOSS
