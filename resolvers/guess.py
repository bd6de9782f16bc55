"""Guesses: the viewer's own, everyone's after the lock, and what they pay."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import DomainError, NotFound
from domain.guess import service as guesses
from domain.guess.model import Guess, GuessInput, GuessState
from domain.ids import LeagueId, MatchId, MemberId, TournamentId
from domain.scoring import rules
from domain.scoring.rules import GuessPoints
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, instant_or_none, page_size
from resolvers.permissions import allow, anyone, member


@allow(member)
async def save(context: Context, *, guess: GuessInput) -> Guess:
    """Save one guess; who has not joined the tournament, or is late, is refused inside the write."""
    return await guesses.save(context.database, context.member_id, guess, context.request.id)


@allow(member)
async def save_many(context: Context, *, inputs: Sequence[GuessInput]) -> list[Guess | DomainError]:
    """Save up to 100 guesses; each succeeds or fails on its own."""
    return await guesses.save_many(context.database, context.member_id, list(inputs), context.request.id)


@allow(anyone)
async def read(context: Context, *, match_id: MatchId, member_id: MemberId) -> Guess | None:
    """The viewer's own guess, given or not, or another member's given one after the lock; None for all others."""
    if context.viewer is None:
        return None
    if member_id == context.member_id:
        return await own(context, match_id)
    found = await guesses.read_given(context.database, context.member_id, [(match_id, member_id)])
    return found.get((match_id, member_id))


async def own(context: Context, match_id: MatchId) -> Guess | None:
    """The viewer's guess, given or not; None unless the viewer joined the tournament."""
    return await context.loaders.own_guess.load(match_id)


async def page_of_match(
    context: Context, match_id: MatchId, *, league_id: LeagueId | None, first: int, after: str | None
) -> Page[Guess] | None:
    """Everyone's given guesses by nick name, empty until the lock; None when nobody is signed in.

    Raises:
        NotFound: the viewer is not in the league.
    """
    if context.viewer is None:
        return None
    cursors = Cursors("match.guesses", match_id, league_id)
    (place,) = cursors.read(after, UUID) if after is not None else (None,)
    rows, total = await guesses.page_of_match(
        context.database, context.member_id, match_id, league_id=league_id, first=page_size(first), after=place
    )
    return cut(rows, first, after=after, cursor=lambda row: cursors.write(row.member_id), total=total)


async def page_of_viewer(
    context: Context, tournament_id: TournamentId, *, states: Sequence[GuessState] | None, first: int, after: str | None
) -> Page[Guess] | None:
    """The viewer's guesses in a tournament, one for each match, by kick-off; None unless the viewer joined it."""
    if context.viewer is None or not await context.loaders.joined.load(tournament_id):
        return None
    cursors = Cursors("tournament.viewerGuesses", tournament_id, sorted(states) if states is not None else None)
    place = cursors.read(after, instant_or_none, UUID) if after is not None else None
    rows, total = await guesses.page_of_member(
        context.database, context.member_id, tournament_id, states=states, first=page_size(first), after=place
    )
    found = await context.loaders.match.load_many([row.match_id for row in rows])
    kick_offs = {match.id: match.kick_off for match in found if match is not None}
    return cut(
        rows, first, after=after, cursor=lambda row: cursors.write(kick_offs[row.match_id], row.match_id), total=total
    )


async def points(context: Context, guess: Guess, *, league_id: LeagueId | None) -> GuessPoints | None:
    """What a guess pays and why; None while the match has no score, and when none was given.

    Raises:
        NotFound: the viewer is not in the league, or it does not play the tournament.
    """
    judged = await context.loaders.judgement.load((guess.match_id, league_id))
    if judged is None:
        raise NotFound("There is no such league that plays the tournament.", field=("leagueId",))
    return rules.explain(judged, guess.goals)
