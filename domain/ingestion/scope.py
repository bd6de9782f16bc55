"""Which matches of a reading are applied. The provider is read whole in any case."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.ids import MatchId, RoundId
from domain.ingestion.model import StoredMatch
from domain.ingestion.snapshot import MatchSnapshot


@dataclass(frozen=True, slots=True)
class Scope:
    """All matches, or those of some rounds, or one."""

    rounds: frozenset[str] | None = None
    """Slugs; None: of all rounds."""
    match_id: MatchId | None = None
    creates: bool = True
    """Whether matches that are new here are taken. Without it, what cannot be stored is left out and told."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing of what is stored is left out."""
        return self.rounds is None and self.match_id is None

    def covers(self, stored: StoredMatch, slugs: Mapping[RoundId, str]) -> bool:
        """Whether a stored match is meant; `slugs` are those of the tournament's rounds."""
        if self.match_id is not None:
            return stored.id == self.match_id
        return self.rounds is None or slugs.get(stored.values["round_id"]) in self.rounds

    def takes(self, match: MatchSnapshot, stored: StoredMatch | None, slugs: Mapping[RoundId, str]) -> bool:
        """Whether an item is applied: one that is meant, or that has come into a round that is."""
        is_there = self.match_id is None and (self.rounds is None or match.round_slug in self.rounds)
        if stored is None:
            return self.creates and is_there
        return is_there or self.covers(stored, slugs)


WHOLE = Scope()
KNOWN = Scope(creates=False)
"""All matches that are stored."""
