"""Seeded guesses that a follower of the league might make. Pure: equal seeds give equal guesses.

Goals are drawn from a Poisson distribution around what the two teams' strengths let expect (Maher 1982); a member's own
taste shifts how much he believes in the stronger side.
"""

import math
from collections.abc import Iterable, Mapping
from random import Random

from domain.ingestion.snapshot import MatchSnapshot, StandingsGroupSnapshot
from domain.match.model import Goals

HOME_GOALS, AWAY_GOALS = 1.55, 1.2
MISSED = 0.03
"""Share of matches that a member forgets."""
MOST = 9


def strengths(tables: Iterable[StandingsGroupSnapshot]) -> dict[str, float]:
    """Strength of each team around 0, from its points a match in the tables given."""
    rows = [row for table in tables for row in table.rows if row.played]
    if not rows:
        return {}
    rates = {row.team_key: row.points / row.played for row in rows}
    mean = sum(rates.values()) / len(rates)
    return {team: (rate - mean) / 2 for team, rate in rates.items()}


def guesses(nick_name: str, matches: Iterable[MatchSnapshot], strength: Mapping[str, float]) -> dict[str, Goals]:
    """A member's guesses by match key; matches that the member forgets are left out."""
    taste = Random(nick_name).uniform(0.3, 1.3)  # noqa: S311 - a game
    given: dict[str, Goals] = {}
    for match in matches:
        random = Random(f"{nick_name}/{match.round_slug}/{match.home_label}/{match.away_label}")  # noqa: S311 - a game
        if match.home_team_key is None or match.away_team_key is None or random.random() < MISSED:
            continue
        edge = taste * (strength.get(match.home_team_key, 0) - strength.get(match.away_team_key, 0))
        given[match.key] = Goals(
            _poisson(random, HOME_GOALS * math.exp(edge)), _poisson(random, AWAY_GOALS * math.exp(-edge))
        )
    return given


def _poisson(random: Random, mean: float) -> int:
    """A draw by inversion, at most MOST."""
    left, goals, probability = random.random(), 0, math.exp(-mean)
    while left > probability and goals < MOST:
        left -= probability
        goals += 1
        probability *= mean / goals
    return goals
