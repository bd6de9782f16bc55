"""Use case: the guesses of live matches, read once for as long as a match is live."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.database import Database
from domain.ids import TournamentId
from domain.leaderboard.cache import VersionCache
from domain.leaderboard.fold import store as fold
from domain.leaderboard.model import LiveMatch
from domain.leaderboard.provisional import store
from domain.leaderboard.provisional.overlay import Judged, MatchGuesses
from domain.scoring.model import ScoreBasis

if TYPE_CHECKING:
    from sqlalchemy import Select

UNSURE_SECONDS = 70
"""So long after the lock a save may still commit that was made before it: no transaction lives longer."""


class LockedGuesses:
    """Guesses of matches that have locked. They stand, unless the lock or the sides turn out to be others."""

    def __init__(self, database: Database, kept_members: int = 10_000_000) -> None:
        """`kept_members`: how many guesses, over all matches, may be held (20 bytes each)."""
        self._database = database
        self._kept: VersionCache[MatchGuesses] = VersionCache(kept_members, len)

    async def stop(self) -> None:
        """Read nothing more."""
        await self._kept.stop()

    async def judged(
        self,
        tournament_id: TournamentId,
        live: Sequence[LiveMatch],
        basis: ScoreBasis,
        read_at: datetime,
        ranked: "Select[Any] | None" = None,
    ) -> list[Judged]:
        """Each match's guesses with the score that counts for now; `ranked`: of these members only, who are few.

        `read_at`: when the matches were read, by the database's clock.
        """
        found = []
        for match in live:
            if (score := match.scores.get(basis)) is not None:
                age = min(int((read_at - match.lock_at).total_seconds()), UNSURE_SECONDS)
                found.append((await self._guesses(tournament_id, match, age, ranked), score))
        return found

    async def _guesses(
        self, tournament_id: TournamentId, match: LiveMatch, age: int, ranked: "Select[Any] | None"
    ) -> MatchGuesses:
        async def load() -> MatchGuesses:
            async with self._database.read() as connection:
                data = await fold.copy(connection, store.guesses_of(tournament_id, match.id, ranked))
            return MatchGuesses.of_copy(data, age)

        if ranked is not None:
            return await load()
        return await self._kept.get((match.id, match.lock_at, match.home_team_id), age, load)
