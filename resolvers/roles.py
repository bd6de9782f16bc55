"""Roles in leagues, asked for again and again by streams: many questions at once are one statement."""

import asyncio

from domain.database import Database
from domain.ids import LeagueId, MemberId
from domain.league.membership import service as memberships
from domain.league.model import LeagueRole

Question = tuple[LeagueId, MemberId]


class RoleDesk:
    """One per process. Every answer was read after its question was asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: dict[Question, list[asyncio.Future[LeagueRole | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def role(self, league_id: LeagueId, member_id: MemberId) -> LeagueRole | None:
        """The role that a member has in a league at this moment; raises what reading it raises."""
        answer: asyncio.Future[LeagueRole | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault((league_id, member_id), []).append(answer)
        if self._task is None:
            self._task = asyncio.create_task(self._answer())
        return await answer

    async def _answer(self) -> None:
        """What is asked while the database is being asked goes together in the next statement."""
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                try:
                    found = await memberships.roles_of(self._database, asked.keys())
                except Exception as problem:  # noqa: BLE001 -- whoever asked gets to know
                    _fail(asked, problem)
                else:
                    _tell(asked, found)
        finally:
            self._task = None


def _tell(asked: dict[Question, list[asyncio.Future[LeagueRole | None]]], found: dict[Question, LeagueRole]) -> None:
    for question, answers in asked.items():
        for answer in answers:
            if not answer.done():
                answer.set_result(found.get(question))


def _fail(asked: dict[Question, list[asyncio.Future[LeagueRole | None]]], problem: Exception) -> None:
    for answers in asked.values():
        for answer in answers:
            if not answer.done():
                answer.set_exception(problem)
