"""Takes the commands of admins: those that come at the same time are accepted in one transaction."""

from collections.abc import Sequence

from domain.audit.rules import checked_reason
from domain.database import Database
from domain.errors import NotFound
from domain.execution import service, store
from domain.execution.model import Command, ExecutionTrigger
from domain.execution.service import Accepted
from domain.execution.store import Asked, Origin
from domain.ids import MemberId
from domain.together import Left, Together


class CommandDesk:
    """One per process. Every answer is of a command that is on the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together: Together[Asked, Accepted] = Together(self._accept_many, self._accept_alone)

    async def run(self, command: Command, *, actor_id: MemberId, reason: str, request_id: str) -> Accepted:
        """Queue a command, or find the equal one that is live.

        Raises InvalidInput for a reason that is too short or too long, NotFound for an unknown target or ruleset, and
        WrongState while the same operation lives on the same target with other parameters.
        """
        origin = Origin(ExecutionTrigger.ADMIN, request_id, actor_id, checked_reason(reason))
        return await self._together.write(Asked(command, origin))

    async def _accept_many(self, asked: Sequence[Asked]) -> list[Accepted | Left]:
        async with self._database.begin() as connection:
            await store.wait_briefly(connection)
            accepted = await service.accept_together(connection, asked)
        return [Left.OUT if one is None else one for one in accepted]

    async def _accept_alone(self, asked: Asked) -> Accepted:
        origin = asked.origin
        async with self._database.begin() as connection:
            if (fault := await service.unknown_ruleset(connection, asked.command)) is not None:
                raise NotFound(fault.message, field=fault.field)
            return await service.accept(
                connection,
                asked.command,
                trigger=origin.trigger,
                request_id=origin.request_id,
                actor_id=origin.actor_id,
                reason=origin.reason,
            )
