"""Leaderboards and their rows."""

from collections.abc import Hashable
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import strawberry

from domain.errors import InvalidInput
from domain.leaderboard import model as domain
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import BoardSource, RankCriterion
from resolvers import leaderboard as resolvers
from resolvers.leaderboard import RowsWanted
from resolvers.pages import Page
from schema import ids
from schema import league as league_types
from schema import tournament as tournament_types
from schema.batched import Batched
from schema.boards import RowBatch, ViewerRows, board_id, row_id
from schema.context import Info
from schema.describe import describe
from schema.ids import optional_id
from schema.member import Member
from schema.references import LeagueRef, RoundRef, TournamentRef
from schema.scalars import LARGEST_INT
from schema.shared import Node, PageInfo, given
from schema.sharing import Parted

describe(
    RankCriterion,
    "What ranks members, in this order.",
    POINTS="Points.",
    EXACT_SCORES="Exact scores.",
    GOAL_DIFFERENCES="Right goal differences.",
    OUTCOMES="Right outcomes.",
)


describe(
    BoardSource,
    "What a board was read from. The order and ranks are the same from both.",
    PROJECTION="The projection.",
    DATABASE="The database: the projection is missing, behind, or does not hold this moment.",
)


@strawberry.type(description="A place in a resumable stream.")
class StreamPosition:
    epoch: str = strawberry.field(description="Of the installation.")
    version: int = strawberry.field(description="Of the board.")


@strawberry.type(description="How fresh an answer is.")
class Freshness:
    computed_at: datetime = strawberry.field(description="When the board was computed.")
    source: BoardSource = strawberry.field(description="What it was read from.")
    staleness_ms: int = strawberry.field(
        description=("Age of the oldest settled change that is not in it, in milliseconds; 0 when nothing is missing.")
    )
    provisional: bool = strawberry.field(description="Whether provisional points are in it.")
    live_matches: int = strawberry.field(description="Matches whose points are provisional here.")
    pending_matches: int = strawberry.field(description="Matches that have ended and are not settled.")

    @classmethod
    def from_domain(cls, head: domain.BoardHead) -> Self:
        """Shape how fresh a board is."""
        return cls(
            computed_at=head.computed_at,
            source=head.source,
            staleness_ms=min(head.staleness_ms, LARGEST_INT),
            provisional=head.live_matches > 0,
            live_matches=head.live_matches,
            pending_matches=head.pending_matches,
        )


@strawberry.type(description="A member's row as it stood when the next round began, or now for the latest.")
class RowHistory:
    source: strawberry.Private[domain.PastRound]
    rank: int | None = strawberry.field(description="Rank after it; null when the member was not ranked then.")
    points: int = strawberry.field(description="Points after it.")
    round_points: int = strawberry.field(description="Points of its matches, settled up to now.")

    @strawberry.field(description="The round.")
    async def round(self, info: Info) -> RoundRef:
        return await tournament_types.round_of(info, self.source.round_id)

    @classmethod
    def from_domain(cls, after: domain.PastRound) -> Self:
        """Shape how a member stood after a round."""
        return cls(source=after, rank=after.rank, points=after.points, round_points=after.round_points)


@strawberry.type(
    description=(
        "A member's row. Order: points, exact scores, goal differences, outcomes; who is equal in all "
        "four shares a rank."
    )
)
class LeaderboardRow(Batched, Node):
    BATCHED: ClassVar = frozenset({"member", "guessed_matches", "movement"})
    source: strawberry.Private[domain.RankedRow]
    batch: strawberry.Private[RowBatch]
    id: strawberry.ID = strawberry.field(description="Opaque id, fixed by board and member.")
    version: int = strawberry.field(
        description=(
            "Version of the board that it was computed at: keep the higher when two sources meet. "
            "Alone it makes no row differ."
        )
    )
    position: int = strawberry.field(
        description=(
            "Place in the total order, from 1, never shared; among equals by member id. For paging and sorting."
        )
    )
    rank: int = strawberry.field(description="Rank as shown, 1-2-2-4.")
    dense_rank: int = strawberry.field(description="Rank without gaps, 1-2-2-3.")
    settled_rank: int = strawberry.field(description="Rank by settled points and settled counters alone.")
    tied: int = strawberry.field(description="How many members share the rank, this one included.")
    separated_by: RankCriterion | None = strawberry.field(
        description=(
            "The first criterion in which the row at the position above is better; null for the "
            "first row and for one that shares its rank."
        )
    )
    points: int = strawberry.field(description="Settled and provisional points together.")
    settled_points: int = strawberry.field(description="Points that are final.")
    provisional_points: int = strawberry.field(
        description=("Points of matches in play or not settled yet; they may go again. 0 when there are none.")
    )
    exact_scores: int = strawberry.field(description="Exact scores, provisional ones included.")
    goal_differences: int = strawberry.field(description="Right goal differences, provisional ones included.")
    outcomes: int = strawberry.field(description="Right outcomes, provisional ones included.")

    @strawberry.field(description="The member.")
    async def member(self, info: Info) -> Member:
        found: Member = await self._read("member", info)
        return found

    @strawberry.field(description="Settled matches that the member had guessed.")
    async def guessed_matches(self, info: Info) -> int:
        found: int = await self._read("guessed_matches", info)
        return found

    @strawberry.field(
        description=(
            "Ranks gained (above 0) or lost since the current round began; null when the member was not "
            "ranked then, on past boards, and on a round's."
        )
    )
    async def movement(self, info: Info) -> int | None:
        found: int | None = await self._read("movement", info)
        return found

    @strawberry.field(
        description=(
            "After each round begun so far, in order, at most 100; only on the board of a league in a tournament, "
            "else empty."
        )
    )
    async def history(self) -> list[RowHistory]:
        return [RowHistory.from_domain(after) for after in await self.batch.history(self.source.member_id)]

    def shared_batch(self) -> RowBatch:
        return self.batch

    def batched(self, name: str) -> Any:
        return self.batch.known(name, self.source.member_id)

    async def _read(self, name: str, info: Info) -> Any:
        await self.batch.load([name], info.context.loaders)
        return self.batched(name)

    @classmethod
    def from_domain(cls, row: domain.RankedRow, batch: RowBatch) -> Self:
        """Shape a row; `batch` reads what rows of one page need, for all of them at once."""
        head = batch.head
        return cls(
            source=row,
            batch=batch,
            id=row_id(head, row.member_id),
            version=head.version,
            position=row.position,
            rank=row.rank,
            dense_rank=row.dense_rank,
            settled_rank=row.settled_rank,
            tied=row.tied,
            separated_by=row.separated_by,
            points=row.points,
            settled_points=row.settled_points,
            provisional_points=row.points - row.settled_points,
            exact_scores=row.exact_scores,
            goal_differences=row.goal_differences,
            outcomes=row.outcomes,
        )


@strawberry.type(description="A row in a page.")
class LeaderboardRowEdge:
    cursor: str = strawberry.field(description="Where it stands; opaque.")
    node: LeaderboardRow = strawberry.field(description="The row.")


@strawberry.type(description="A page of rows.")
class LeaderboardRowConnection:
    edges: list[LeaderboardRowEdge] = strawberry.field(description="In order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    total_count: int = strawberry.field(description="Members ranked in all.")
    board_moved: bool = strawberry.field(
        description=(
            "Whether the board changed since the cursor was given: a member may then come twice or not at all."
        )
    )

    @classmethod
    def from_page(cls, page: Page[domain.RankedRow], board: OpenBoard, *, board_moved: bool) -> Self:
        """Shape a page of rows."""
        batch = RowBatch(board, page.items)
        edges = [
            LeaderboardRowEdge(cursor=cursor, node=LeaderboardRow.from_domain(row, batch))
            for cursor, row in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.from_page(page), total_count=page.total, board_moved=board_moved)


@strawberry.type(
    description="Members ranked: of a tournament, a league, a league in a tournament, or a round of either."
)
class Leaderboard(Parted, Node):
    board: strawberry.Private[OpenBoard]
    viewer_rows: strawberry.Private[ViewerRows]
    id: strawberry.ID = strawberry.field(
        description=(
            "Opaque id, fixed by board, moment and `settledOnly`: a past board never merges into the present one."
        )
    )
    settled_version: int | None = strawberry.field(
        description="Tournament version that it shows; null for a league's total."
    )
    stream_position: StreamPosition | None = strawberry.field(
        description=(
            "Where a stream of this board may resume: `after` of `leaderboardUpdates`; null on "
            "past boards and for `settledOnly`."
        )
    )
    freshness: Freshness = strawberry.field(description="How fresh it is, and what is still open.")
    settled_matches: int = strawberry.field(
        description="Matches of the board that are settled; void ones count nowhere."
    )
    matches: int = strawberry.field(description="Matches of the board in all; void ones count nowhere.")

    @strawberry.field(description="Its league; null for the board of a whole tournament.")
    async def league(self, info: Info) -> LeagueRef | None:
        league_id = self.board.head.key.league_id
        return await league_types.league_of(info, league_id) if league_id else None

    @strawberry.field(description="Its tournament; null for a league's total.")
    async def tournament(self, info: Info) -> TournamentRef | None:
        tournament_id = self.board.head.key.tournament_id
        return await tournament_types.tournament_of(info, tournament_id) if tournament_id else None

    @strawberry.field(description="Its round; null when all rounds count.")
    async def round(self, info: Info) -> RoundRef | None:
        round_id = self.board.head.key.round_id
        return await tournament_types.round_of(info, round_id) if round_id else None

    @strawberry.field(description="Rows by position, paged both ways. Members without points are there too.")
    async def rows(
        self,
        first: Annotated[
            int | None, strawberry.argument(description="1 to 100; default 50 unless `last` is given.")
        ] = strawberry.UNSET,
        after: str | None = strawberry.UNSET,
        last: Annotated[
            int | None, strawberry.argument(description="1 to 100, from the end or before `before`.")
        ] = strawberry.UNSET,
        before: Annotated[
            str | None, strawberry.argument(description="Cursor before which the page ends.")
        ] = strawberry.UNSET,
        search: Annotated[
            str | None,
            strawberry.argument(
                description="Only nick names that begin so; positions and ranks stay those of the whole board."
            ),
        ] = strawberry.UNSET,
    ) -> LeaderboardRowConnection:
        wanted = RowsWanted(given(first), given(after), given(last), given(before), given(search))
        page, board_moved = await resolvers.rows(self.board, wanted)
        return LeaderboardRowConnection.from_page(page, self.board, board_moved=board_moved)

    @strawberry.field(description="The viewer's row; null when the viewer is not ranked here.")
    async def viewer_row(self, info: Info) -> LeaderboardRow | None:
        rows, batch = await self.viewer_rows.around(info.context, 0)
        return LeaderboardRow.from_domain(rows[0], batch) if rows else None

    @strawberry.field(
        description="The viewer's row with its neighbours, by position; empty when the viewer is not ranked here."
    )
    async def viewer_neighbours(
        self, info: Info, radius: Annotated[int, strawberry.argument(description="Rows on each side, 1 to 10.")] = 2
    ) -> list[LeaderboardRow]:
        resolvers.check_radius(radius)
        rows, batch = await self.viewer_rows.around(info.context, radius)
        return [LeaderboardRow.from_domain(row, batch) for row in rows]

    def state(self) -> tuple[Hashable, UUID]:
        key = self.board.head.key
        whose = key.tournament_id or key.league_id
        assert whose is not None
        return (self.board.head, self.board.mark), whose

    @classmethod
    def from_domain(cls, board: OpenBoard, head: domain.BoardHead | None = None) -> Self:
        """Shape a board; `head` as it was when its rows were read, where that is known."""
        head = head or board.head
        return cls(
            board=board,
            viewer_rows=ViewerRows(board),
            id=board_id(head),
            settled_version=head.settled_version,
            stream_position=StreamPosition(epoch=head.epoch, version=head.version) if head.is_streamed else None,
            freshness=Freshness.from_domain(head),
            settled_matches=head.settled_matches,
            matches=head.matches,
        )


@strawberry.input(description="Names a board. Give a league, a tournament, or both; a round implies its tournament.")
class BoardInput:
    league_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Members of this league; default all who joined the tournament."
    )
    tournament_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Points of this tournament; default all that count in the league."
    )
    round_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Points of this round only."
    )

    def key(self) -> domain.BoardKey:
        """The board that it names.

        Raises:
            InvalidInput: it names none.
            NotFound: an id in it is not one.
        """
        key = domain.BoardKey(
            league_id=optional_id(self.league_id, ids.league_id, "league", "board", "leagueId"),
            tournament_id=optional_id(self.tournament_id, ids.tournament_id, "tournament", "board", "tournamentId"),
            round_id=optional_id(self.round_id, ids.round_id, "round", "board", "roundId"),
        )
        if key == domain.BoardKey():
            raise InvalidInput("Set at least one of `leagueId`, `tournamentId` and `roundId`.", field=("board",))
        return key
