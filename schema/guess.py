"""Guesses and what they pay."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from domain.guess import model as domain
from domain.guess.model import GuessState
from domain.guess.rules import guess_state
from domain.match.model import Match as FoundMatch
from domain.scoring.model import GuessFact
from domain.scoring.rules import GuessPoints as PaidPoints
from resolvers import guess as resolvers
from resolvers.pages import Page
from schema import ids
from schema import match as match_types
from schema.context import Info
from schema.describe import describe
from schema.ids import global_id, optional_id
from schema.member import Member
from schema.references import MatchRef, SettlementRef
from schema.ruleset import Ruleset
from schema.shared import Goals, Node, PageInfo, UserError, goals, there

describe(
    GuessState,
    "How a guess stands, as a member sees it.",
    NOT_STARTED="Open, none given.",
    WAITING="Given; the match is not settled.",
    EXPIRED="None given, and the lock has passed.",
    PAUSED="The match has no date for now, or pays nobody; a given guess stands.",
    FINALIZED="Given, and the match is settled.",
)


@strawberry.type(description="One fact about a guess, and what it pays.")
class PointsLine:
    fact: GuessFact = strawberry.field(description="The fact.")
    correct: bool = strawberry.field(description="Whether the guess got it right.")
    weight: int = strawberry.field(description="Points that the ruleset gives for it.")
    points: int = strawberry.field(description="The weight when correct, else 0.")


@strawberry.type(description="What a guess pays and why: enough to work it out again by hand.")
class GuessPoints:
    points: int = strawberry.field(description="Sum of the lines.")
    provisional: bool = strawberry.field(description="Whether the score is not final yet.")
    counted_goals: Goals = strawberry.field(description="The score that counts under the ruleset's basis.")
    ruleset: Ruleset = strawberry.field(description="The ruleset applied.")
    lines: list[PointsLine] = strawberry.field(description="One line for each fact, right or not; 5.")
    settlement: SettlementRef | None = strawberry.field(
        description="The settlement that paid it; null while provisional."
    )

    @classmethod
    def from_domain(cls, paid: PaidPoints) -> Self:
        """Shape an explanation."""
        return cls(
            points=paid.points,
            provisional=paid.settlement is None,
            counted_goals=Goals.from_domain(paid.counted_goals),
            ruleset=Ruleset.from_domain(paid.ruleset),
            lines=[
                PointsLine(fact=line.fact, correct=line.correct, weight=line.weight, points=line.points)
                for line in paid.lines
            ],
            settlement=match_types.Settlement.from_domain(paid.settlement) if paid.settlement else None,
        )


@strawberry.type(
    description=(
        "One member's score for one match. It has its id before anything is given, so clients merge by id "
        "from the start."
    )
)
class Guess(Node):
    source: strawberry.Private[domain.Guess]
    id: strawberry.ID = strawberry.field(description="Opaque id, fixed by member and match.")
    goals: Goals | None = strawberry.field(description="The score given; null when none was.")
    revision: int = strawberry.field(description="Counts saves from 1; 0 when none was given.")
    saved_at: datetime | None = strawberry.field(
        description="When it was last saved, by the database clock; null when none was given."
    )

    @strawberry.field(description="Whose.")
    async def member(self, info: Info) -> Member:
        return Member.from_domain(there(await info.context.loaders.member.load(self.source.member_id)))

    @strawberry.field(description="For which match.")
    async def match(self, info: Info) -> MatchRef:
        return match_types.Match.from_domain(await self._match(info))

    @strawberry.field(description="How it stands.")
    async def state(self, info: Info) -> GuessState:
        return guess_state(await self._match(info), self.source)

    @strawberry.field(
        description=(
            "The viewer's own later save that does not count, because the kick-off turned out to be earlier; null else."
        )
    )
    async def viewer_late_goals(self, info: Info) -> Goals | None:
        viewer = info.context.viewer
        is_own = viewer is not None and viewer.account.id == self.source.member_id
        return goals(self.source.late_goals) if is_own else None

    @strawberry.field(
        description=(
            "What it pays, explained; null while the match has no score, and when no guess was given (which pays 0)."
        )
    )
    async def points(
        self,
        info: Info,
        league_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description=(
                    "Under the ruleset of this league, which must play the tournament and have "
                    "the viewer as a member; default the tournament's."
                )
            ),
        ] = strawberry.UNSET,
    ) -> GuessPoints | None:
        paid = await resolvers.points(
            info.context,
            self.source,
            league_id=optional_id(league_id, ids.league_id, "league", "leagueId"),
        )
        return GuessPoints.from_domain(paid) if paid else None

    @classmethod
    def from_domain(cls, guess: domain.Guess) -> Self:
        """Shape a guess."""
        return cls(
            source=guess,
            id=global_id("Guess", guess.tournament_id, guess.match_id, guess.member_id),
            goals=goals(guess.goals),
            revision=guess.revision,
            saved_at=guess.saved_at,
        )

    async def _match(self, info: Info) -> FoundMatch:
        return there(await info.context.loaders.match.load(self.source.match_id))


@strawberry.type(description="A guess in a page.")
class GuessEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: Guess = strawberry.field(description="The guess.")


@strawberry.type(description="A page of guesses.")
class GuessConnection:
    edges: list[GuessEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    total_count: int = strawberry.field(description="Guesses in all; 0 while they are hidden.")

    @classmethod
    def from_page(cls, page: Page[domain.Guess]) -> Self:
        """Shape a page."""
        edges = [
            GuessEdge(cursor=cursor, node=Guess.from_domain(item))
            for cursor, item in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page), total_count=page.total)


@strawberry.input(description="Input of `saveGuess`, and one item of `saveGuesses`.")
class SaveGuessInput:
    match_id: strawberry.ID = strawberry.field(description="Which match.")
    home: int = strawberry.field(description="Goals of the home team, 0 to 99.")
    away: int = strawberry.field(description="Goals of the away team, 0 to 99.")


@strawberry.type(description="Result of `saveGuess`.")
class SaveGuessPayload:
    guess: Guess | None = strawberry.field(
        description=("The guess as stored now; when refused, as it was, or null where there is none to show.")
    )
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


@strawberry.input(description="Input of `saveGuesses`.")
class SaveGuessesInput:
    guesses: list[SaveGuessInput] = strawberry.field(description="1 to 100, each match once.")


@strawberry.type(description="What became of one item of `saveGuesses`.")
class SaveGuessResult:
    match_id: strawberry.ID = strawberry.field(description="`matchId` of the item.")
    guess: Guess | None = strawberry.field(
        description=("The guess as stored now; when refused, as it was, or null where there is none to show.")
    )
    errors: list[UserError] = strawberry.field(description="Refusals of this item; empty on success.")


@strawberry.type(description="Result of `saveGuesses`.")
class SaveGuessesPayload:
    results: list[SaveGuessResult] = strawberry.field(
        description="One for each item, in order; empty when the whole request was refused."
    )
    errors: list[UserError] = strawberry.field(description="Refusals of the whole request; empty otherwise.")
