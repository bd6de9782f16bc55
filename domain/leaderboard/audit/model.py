"""What an audit finds."""

from dataclasses import dataclass
from enum import StrEnum

from domain.ids import TournamentId

LEDGER_STEP = "Ledger"
"""The step of an execution whose rejected items are breaches of the ledger; `palpite_invariant_breaches` counts it."""


class Invariant(StrEnum):
    """What must always hold."""

    LEDGER = "LEDGER"
    """Points of members add up to those of the scorelines of active settlements, for each basis."""
    SCORES = "SCORES"
    """Each member's facts are the fold of guesses, active settlements and scorelines."""
    VERSIONS = "VERSIONS"
    """The versions of a tournament's scores have no gaps."""
    ACTIVE = "ACTIVE"
    """One settlement of a match pays, once it has any."""
    SETTLED_IN_TIME = "SETTLED_IN_TIME"
    """An accepted result is settled soon."""
    EXECUTIONS_MOVE = "EXECUTIONS_MOVE"
    """An execution that is not over is taken up when it is due, and kept by a live worker."""


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant that does not hold, in words for people."""

    invariant: Invariant
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """What the audit of one tournament's boards found."""

    tournament_id: TournamentId
    breaches: tuple[Breach, ...]
    """Of the ledger."""
    drifts: tuple[str, ...]
    """What is wrong with the projection, its own board first, then those of leagues that play it; for people."""
