"""Fields that wait for the same reading do not fall with a neighbour of one of them."""

from typing import Any

import strawberry
from strawberry.types import Info

from domain.ids import MemberId
from resolvers.desks import Desks
from resolvers.loaders import Loaders
from runtime.database import PostgresDatabase
from tests.support.football import make_member


@strawberry.type
class Pair:
    """Its name is on its way when its other field fails, and takes it along."""

    member_id: strawberry.Private[MemberId]

    @strawberry.field
    async def nick_name(self, info: Info[Loaders, None]) -> str:
        return await _nick_name(info, self.member_id)

    @strawberry.field
    async def broken(self) -> int:
        raise ValueError("broken")


@strawberry.type
class Query:
    member_id: strawberry.Private[MemberId]

    @strawberry.field
    def pair(self) -> Pair | None:
        return Pair(member_id=self.member_id)

    @strawberry.field
    async def nick_name(self, info: Info[Loaders, None]) -> str | None:
        return await _nick_name(info, self.member_id)


async def _nick_name(info: Info[Loaders, None], member_id: MemberId) -> str:
    found = await info.context.member.load(member_id)
    assert found is not None
    return found.nick_name


async def _executed(database: PostgresDatabase, document: str) -> Any:
    member_id = await make_member(database, "Ana")
    root, loaders = Query(member_id=member_id), Loaders(database, Desks(database), None)
    return await strawberry.Schema(Query).execute(document, root_value=root, context_value=loaders)


async def test_a_field_outlives_the_neighbour_that_shared_its_reading(database: PostgresDatabase) -> None:
    for document in ("{ pair { nickName broken } nickName }", "{ nickName pair { broken nickName } }"):
        result = await _executed(database, document)
        assert result.data == {"pair": None, "nickName": "Ana"}
        assert [error.message for error in result.errors] == ["broken"]
