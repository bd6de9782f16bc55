"""Guesses: the viewer's own, everyone's after the lock, and what they pay."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import DomainError, NotFound
from domain.guess import service as guesses
from domain.guess.model import Guess, GuessInput
from domain.ids import LeagueId, MatchId, MemberId
from domain.league.model import LeagueTournament
from domain.match.model import Match
from domain.scoring import rules
from domain.scoring.model import Ruleset
from domain.scoring.rules import GuessPoints
from resolvers.context import Context
from resolvers.pages import Cursors, Page, cut, page_size
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


async def points(context: Context, match: Match, guess: Guess, *, league_id: LeagueId | None) -> GuessPoints | None:
    """What a guess pays and why; None while the match has no score, and when none was given.

    Raises:
        NotFound: the viewer is not in the league, or it does not play the tournament.
    """
    ruleset = await _ruleset(context, match, league_id)
    settlement = await context.loaders.settlement.load(match.id)
    return rules.explain(match, guess, ruleset, settlement)


async def _ruleset(context: Context, match: Match, league_id: LeagueId | None) -> Ruleset:
    if league_id is not None:
        ruleset_id = (await _link(context, match, league_id)).ruleset_id
    else:
        tournament = await context.loaders.tournament.load(match.tournament_id)
        if tournament is None:
            raise LookupError(match.tournament_id)
        ruleset_id = tournament.ruleset_id
    ruleset = await context.loaders.ruleset.load(ruleset_id)
    if ruleset is None:
        raise LookupError(ruleset_id)
    return ruleset


async def _link(context: Context, match: Match, league_id: LeagueId) -> LeagueTournament:
    if await context.loaders.league.load(league_id) is not None:
        for link in await context.loaders.league_tournaments.load(league_id) or ():
            if link.tournament_id == match.tournament_id:
                return link
    raise NotFound("There is no such league that plays the tournament.", field=("leagueId",))
