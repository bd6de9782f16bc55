"""Rules of tournaments that need no database."""

from domain.ids import TournamentId
from domain.tournament.model import Tournament, TournamentStatus

LIST_ORDER = (
    TournamentStatus.ACTIVE,
    TournamentStatus.UPCOMING,
    TournamentStatus.COMPLETED,
    TournamentStatus.CANCELLED,
)
"""Lists of tournaments go by status, in this order, then by label."""
LISTED = LIST_ORDER[:-1]
"""In lists unless statuses are asked for."""


def list_position(tournament: Tournament) -> tuple[int, str, TournamentId]:
    """Where a tournament stands in lists."""
    return LIST_ORDER.index(tournament.status), tournament.label, tournament.id
