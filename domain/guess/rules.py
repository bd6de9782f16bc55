"""Rules of guesses: how one stands, and why one is refused."""

from collections.abc import Sequence

from domain.errors import DomainError, Fault
from domain.guess.model import Guess, GuessInput, GuessState
from domain.match.model import Match, MatchStatus
from domain.match.rules import is_void

MOST_GOALS = 99
MOST_GUESSES = 100
MOST_SCORELINES = 100
"""Different scores of a match that are counted for people."""
"""Guesses in one request."""


class NotJoined(DomainError):
    code = "NOT_JOINED"


class MatchLocked(DomainError):
    code = "MATCH_LOCKED"


class MatchPaused(DomainError):
    code = "MATCH_PAUSED"


class MatchNotGuessable(DomainError):
    code = "MATCH_NOT_GUESSABLE"


def guess_state(match: Match, guess: Guess) -> GuessState:
    """How a guess stands, by the first that holds (contract, Guess states)."""
    if match.is_paused:
        return GuessState.PAUSED
    if guess.goals is not None:
        return GuessState.FINALIZED if match.is_settled else GuessState.WAITING
    return GuessState.EXPIRED if match.is_locked else GuessState.NOT_STARTED


def refusal(match: Match, *, joined: bool) -> DomainError | None:
    """Why a member may not guess this match; None when it is open. The write itself decides the lock once more."""
    if not joined:
        return NotJoined("Join the tournament before guessing its matches.")
    if is_void(match):
        return MatchNotGuessable("The match will not be played.")
    if match.home_team_id is None or match.away_team_id is None:
        return MatchNotGuessable("The teams of the match are not known yet.")
    if match.is_paused:
        return paused()
    if match.is_locked or match.status is not MatchStatus.NOT_STARTED:
        return locked()
    return None


def locked() -> MatchLocked:
    return MatchLocked("The match has begun: guesses are closed.")


def paused() -> MatchPaused:
    return MatchPaused("The match has no date at present; it can be guessed once it has one.")


def goal_faults(guess: GuessInput, path: tuple[str, ...]) -> list[Fault]:
    """What is wrong with the two numbers of a guess; `path` leads to it in the input."""
    return [
        Fault("INVALID_INPUT", f"Goals are whole numbers from 0 to {MOST_GOALS}.", (*path, side))
        for side, goals in (("home", guess.home), ("away", guess.away))
        if type(goals) is not int or not 0 <= goals <= MOST_GOALS
    ]


def request_faults(guesses: Sequence[GuessInput]) -> list[Fault]:
    """What is wrong with a request of many guesses as a whole."""
    if not 1 <= len(guesses) <= MOST_GUESSES:
        return [Fault("INVALID_INPUT", f"Save 1 to {MOST_GUESSES} guesses at a time.", ("guesses",))]
    seen = set()
    faults = []
    for index, guess in enumerate(guesses):
        if guess.match_id in seen:
            field = ("guesses", str(index), "matchId")
            faults.append(Fault("INVALID_INPUT", "The match occurs twice in this request.", field))
        seen.add(guess.match_id)
    return faults
