"""What the second way found: equal, or exactly what differs."""

from dataclasses import dataclass
from enum import StrEnum

from domain.errors import DomainError
from domain.ids import MatchId, MemberId, TournamentId
from domain.match.model import Goals
from domain.scoring.model import Facts, ScoreBasis


class TooNarrow(DomainError):
    """A repair of less than what differs would write wrong sums."""

    code = "PREREQUISITE_MISSING"


class DifferenceKind(StrEnum):
    """Where two ways disagree."""

    SETTLEMENT = "SETTLEMENT"
    """Guesses or digest of a match's settlement."""
    SCORELINE = "SCORELINE"
    """Facts of one guessed score, or how many guessed it."""
    MEMBER = "MEMBER"
    """The facts of one member over all matches."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one guessed score got right under one basis, and how many guessed it."""

    facts: Facts
    guesses: int


@dataclass(frozen=True, slots=True)
class MatchProof:
    """A match as its settlement tells it. `lines` by basis and guessed score."""

    match_id: MatchId
    revision: int
    effect_digest: str
    guesses: int
    lines: dict[tuple[ScoreBasis, Goals], Line]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, in words: what is recorded, and what was worked out anew."""

    kind: DifferenceKind
    match_id: MatchId | None
    member_id: MemberId | None
    basis: ScoreBasis | None
    what: str
    recorded: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class Verification:
    """A tournament's settlements, or one match's with the sums of all members, compared with the second way."""

    tournament_id: TournamentId
    label: str
    """The tournament's, with its season."""
    matches: int
    members: int
    recorded_digest: str
    """Over the facts of all members, as settlements have added them up."""
    recomputed_digest: str
    """The same over what was worked out from guesses and results."""
    differences: tuple[Difference, ...]

    @property
    def is_equal(self) -> bool:
        return not self.differences and self.recorded_digest == self.recomputed_digest

    @property
    def wrong_matches(self) -> list[MatchId]:
        """Matches whose own proof differs, by id."""
        return sorted({found.match_id for found in self.differences if found.match_id is not None})
