"""Which knockout rounds of a reading have appeared since the last one. Pure."""

from collections.abc import Collection

from domain.ingestion.snapshot import MatchSnapshot, TournamentSnapshot
from domain.tournament.model import RoundKind


def appeared(
    snapshot: TournamentSnapshot, rounds: Collection[str], matches: Collection[str], undrawn: Collection[str]
) -> frozenset[str]:
    """Slugs of knockout rounds with a match that is new here, or whose teams have been drawn.

    Of what is stored: slugs of `rounds`, the provider's keys of `matches`, and of those that lack a team (`undrawn`).
    A round without any match is not played yet, and has not appeared.
    """
    knockouts = {found.slug for found in snapshot.rounds if found.kind is RoundKind.KNOCKOUT}

    def is_news(match: MatchSnapshot) -> bool:
        is_drawn = match.home_team_key is not None and match.away_team_key is not None
        return match.round_slug not in rounds or match.key not in matches or (match.key in undrawn and is_drawn)

    return frozenset(match.round_slug for match in snapshot.matches if match.round_slug in knockouts and is_news(match))


def teams_of(snapshot: TournamentSnapshot, rounds: Collection[str]) -> frozenset[str]:
    """Keys of the teams that play in these rounds."""
    sides = [
        side
        for match in snapshot.matches
        if match.round_slug in rounds
        for side in (match.home_team_key, match.away_team_key)
    ]
    return frozenset(side for side in sides if side is not None)
