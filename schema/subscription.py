"""The root of streams. The hub of the process makes the events; here they are asked for and shaped."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Annotated

import strawberry

from domain.errors import DomainError, InvalidInput
from domain.ids import ExecutionId
from live import events
from live.hub import BoardStream, MatchStream
from resolvers import execution as executions
from resolvers import leaderboard as leaderboards
from resolvers import match as matches
from resolvers import operations
from resolvers.pages import page_size
from schema import ids, updates
from schema.context import ApiContext, Info
from schema.execution import Execution
from schema.followed import Followed
from schema.leaderboard import BoardInput
from schema.match import MatchScopeInput
from schema.operations import OperationsStatus
from schema.rights import right
from schema.shared import given
from schema.updates import LeaderboardUpdate, MatchUpdate, StreamPositionInput

MOST_EXECUTIONS = 100


@strawberry.type(
    description=(
        "Live updates, over graphql-transport-ws or server-sent events. Every stream begins with the "
        "present state, or goes on from `after`."
    )
)
class Subscription:
    @strawberry.subscription(
        description=(
            "The first rows of a board as they change, provisional points included. Anyone for a tournament's "
            "board, members for a league's."
        )
    )
    def leaderboard_updates(
        self,
        info: Info,
        board: Annotated[BoardInput, strawberry.argument(description="Which board.")],
        first: Annotated[int, strawberry.argument(description="How many rows from the top to follow, 1 to 100.")] = 50,
        after: Annotated[
            StreamPositionInput | None,
            strawberry.argument(
                description=(
                    "Where to resume; without it, or when it is no longer known, the stream begins with a snapshot."
                )
            ),
        ] = strawberry.UNSET,
    ) -> AsyncIterable[LeaderboardUpdate]:
        if given(board.league_id) is not None:
            _ = info.context.member_id  # whatever league it is: nobody sees one without having signed in
        key, rows = board.key(), page_size(first)

        def follow(context: ApiContext, position: events.StreamPosition | None) -> BoardStream:
            allowed = right(lambda: leaderboards.watch(context, key=key))
            return context.hub.leaderboard(key, rows, position, allowed=allowed)

        return Followed(info.context, follow, _position(after), _leaderboard_update)

    @strawberry.subscription(
        description="Matches as their kick-off, status, running score and result change. Open to anyone."
    )
    def match_updates(
        self,
        info: Info,
        scope: Annotated[MatchScopeInput, strawberry.argument(description="Which matches.")],
        after: Annotated[
            StreamPositionInput | None,
            strawberry.argument(
                description=(
                    "Where to resume; without it, or when it is no longer known, the stream begins with a snapshot."
                )
            ),
        ] = strawberry.UNSET,
    ) -> AsyncIterable[MatchUpdate]:
        wanted = scope.scope()

        def follow(context: ApiContext, position: events.StreamPosition | None) -> MatchStream:
            return context.hub.matches(wanted, position, allowed=right(lambda: matches.watch(context)))

        return Followed(info.context, follow, _position(after), _match_update)

    @strawberry.subscription(
        description=(
            "Executions as they advance: first the present state of each, then each change; completes when "
            "all the named ones are over. Platform admins."
        )
    )
    async def execution_updates(
        self,
        info: Info,
        execution_ids: Annotated[
            list[strawberry.ID] | None,
            strawberry.argument(
                description="Which, at most 100; without it all that are queued or in progress, now and later."
            ),
        ] = strawberry.UNSET,
    ) -> AsyncGenerator[Execution, None]:
        try:
            wanted = _execution_ids(given(execution_ids))
        except DomainError:
            await executions.watch(info.context)  # who may not ask gets that error first
            raise
        stream = info.context.hub.executions(wanted, allowed=right(lambda: executions.watch(info.context)))
        async with aclosing(stream):
            async for execution in stream:
                info.context.renew_loaders()
                yield Execution.from_domain(execution, info.context.services.report_url)

    @strawberry.subscription(
        description=(
            "Queues, providers and processes: now, then at most once a second when something changed. Platform admins."
        )
    )
    async def operations_updates(self, info: Info) -> AsyncGenerator[OperationsStatus, None]:
        stream = info.context.hub.operations(allowed=right(lambda: operations.watch(info.context)))
        async with aclosing(stream):
            async for status in stream:
                yield OperationsStatus.from_domain(status)


def _position(after: StreamPositionInput | None) -> events.StreamPosition | None:
    found = given(after)
    return found.position() if found else None


def _execution_ids(texts: list[strawberry.ID] | None) -> list[ExecutionId] | None:
    if texts is None:
        return None
    if not 1 <= len(texts) <= MOST_EXECUTIONS:
        raise InvalidInput(f"Name 1 to {MOST_EXECUTIONS} executions.", field=("executionIds",))
    return [
        ids.required(ids.execution_id(text), "execution", "executionIds", str(index))
        for index, text in enumerate(texts)
    ]


def _leaderboard_update(event: events.LeaderboardEvent) -> LeaderboardUpdate:
    match event:
        case events.Snapshot():
            return updates.LeaderboardSnapshot.from_event(event)
        case events.Delta():
            return updates.LeaderboardDelta.from_event(event)
        case events.Resync():
            return updates.Resync.from_event(event)
        case events.Heartbeat():
            return updates.Heartbeat.from_event(event)


def _match_update(event: events.MatchEvent) -> MatchUpdate:
    match event:
        case events.MatchSnapshot():
            return updates.MatchSnapshot.from_event(event)
        case events.MatchDelta():
            return updates.MatchDelta.from_event(event)
        case events.Resync():
            return updates.Resync.from_event(event)
        case events.Heartbeat():
            return updates.Heartbeat.from_event(event)
