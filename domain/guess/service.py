"""Saving and reading guesses."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from domain.database import Database
from domain.errors import DomainError, Fault, NotFound, Refused
from domain.guess import rules, store
from domain.guess.model import Guess, GuessInput, GuessState, ScorelineCount
from domain.ids import LeagueId, MatchId, MemberId, TournamentId
from domain.league import store as league_store
from domain.match.model import Match


async def save(database: Database, member_id: MemberId, guess: GuessInput, request_id: str) -> Guess:
    """Save a member's guess until the match's lock; the guess as it is stored now.

    Raises:
        Refused: the goals are not whole numbers from 0 to 99.
        NotFound, NotJoined, MatchNotGuessable, MatchPaused, MatchLocked: the match cannot be guessed; nothing changed.
    """
    (result,) = await _save(database, member_id, [guess], [()], request_id)
    if isinstance(result, DomainError):
        raise result
    return result


async def save_many(
    database: Database, member_id: MemberId, guesses: Sequence[GuessInput], request_id: str
) -> list[Guess | DomainError]:
    """Save 1 to 100 guesses, each match once; each succeeds or fails on its own, in the order given.

    Raises:
        Refused: the request as a whole is out of bounds; nothing changed.
    """
    if faults := rules.request_faults(guesses):
        raise Refused(faults)
    paths = [("guesses", str(index)) for index in range(len(guesses))]
    return await _save(database, member_id, guesses, paths, request_id)


async def read_own(database: Database, member_id: MemberId, match_ids: Iterable[MatchId]) -> dict[MatchId, Guess]:
    """The member's guesses, given or not; matches of tournaments that the member has not joined are left out."""
    async with database.read() as connection:
        return {guess.match_id: guess for guess in await store.read_own(connection, member_id, match_ids)}


async def scoreline_counts(
    database: Database, match_ids: Iterable[MatchId], *, most: int = rules.MOST_SCORELINES
) -> dict[MatchId, list[ScorelineCount]]:
    """How often each score was guessed, most frequent first; matches that have not locked are left out."""
    found: dict[MatchId, list[ScorelineCount]] = {}
    async with database.read() as connection:
        for match_id, goals, number in await store.scoreline_counts(connection, match_ids, most):
            counts = found.setdefault(match_id, [])
            if goals is not None:
                counts.append(ScorelineCount(goals, number))
    return found


async def page_of_member(
    database: Database,
    member_id: MemberId,
    tournament_id: TournamentId,
    *,
    states: Sequence[GuessState] | None = None,
    first: int,
    after: tuple[datetime | None, MatchId] | None = None,
) -> tuple[list[Guess], int]:
    """The member's guesses in a joined tournament, one for each match, by kick-off; `states` narrows them.

    Up to `first` + 1 of those after `after` (kick-off and id of a match), and how many there are in all.
    """
    async with database.read() as connection:
        return await store.page_of_member(connection, member_id, tournament_id, states=states, first=first, after=after)


async def read_given(
    database: Database, viewer_id: MemberId | None, keys: Sequence[tuple[MatchId, MemberId]]
) -> dict[tuple[MatchId, MemberId], Guess]:
    """Given guesses by match and member; those that the viewer may not see are left out like unknown ones."""
    async with database.read() as connection:
        found = await store.read_given(connection, viewer_id, keys)
    return {(guess.match_id, guess.member_id): guess for guess in found}


async def page_of_match(
    database: Database,
    viewer_id: MemberId,
    match_id: MatchId,
    *,
    league_id: LeagueId | None = None,
    first: int,
    after: tuple[str, MemberId] | None = None,
) -> tuple[list[Guess], int]:
    """Everyone's given guesses for a match by nick name, empty until the lock has passed.

    Up to `first` + 1 of those after `after` (nick name and id of a member), and how many there are in all.

    Raises:
        NotFound: the viewer is not in the league.
    """
    async with database.read() as connection:
        if league_id is not None and not await league_store.read_roles(connection, viewer_id, [league_id]):
            raise NotFound("There is no such league.", field=("leagueId",))
        return await store.page_of_match(connection, viewer_id, match_id, league_id=league_id, first=first, after=after)


async def _save(
    database: Database,
    member_id: MemberId,
    guesses: Sequence[GuessInput],
    paths: Sequence[tuple[str, ...]],
    request_id: str,
) -> list[Guess | DomainError]:
    """One transaction of four statements, however many guesses there are."""
    by_path = list(zip(guesses, paths, strict=True))
    faults = {guess.match_id: wrong for guess, path in by_path if (wrong := rules.goal_faults(guess, path))}
    sound = [guess for guess in guesses if guess.match_id not in faults]
    async with database.begin() as connection:
        await store.lock_member(connection, member_id, [guess.match_id for guess in sound])
        found = await store.lock_matches(connection, member_id, [guess.match_id for guess in sound])
        refused = {
            guess.match_id: error
            for guess, path in by_path
            if guess.match_id not in faults and (error := _refusal(found.get(guess.match_id), path))
        }
        open_ones = [guess for guess in sound if guess.match_id not in refused]
        accepted = await store.save(connection, member_id, open_ones, request_id)
        stored = {guess.match_id: guess for guess in await store.read_own(connection, member_id, accepted)}
    return [
        _result(guess.match_id, faults.get(guess.match_id), refused.get(guess.match_id), stored, found)
        for guess in guesses
    ]


def _refusal(found: tuple[Match, bool] | None, path: tuple[str, ...]) -> DomainError | None:
    if found is None:
        return NotFound("There is no such match.", field=(*path, "matchId"))
    match, joined = found
    return rules.refusal(match, joined=joined)


def _result(
    match_id: MatchId,
    faults: list[Fault] | None,
    refused: DomainError | None,
    stored: dict[MatchId, Guess],
    found: dict[MatchId, tuple[Match, bool]],
) -> Guess | DomainError:
    if faults:
        return Refused(faults)
    if refused is not None:
        return refused
    if match_id in stored:
        return stored[match_id]
    # The match was open when it was read and no longer when the statement wrote: its lock or its day has just begun.
    return rules.paused() if found[match_id][0].lock_at is None else rules.locked()
