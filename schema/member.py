"""Members, as everybody sees them."""

from typing import Self

import strawberry

from domain.member import model as domain
from schema.ids import global_id
from schema.shared import Node


@strawberry.type(description="A person with an account, as others see them.")
class Member(Node):
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    nick_name: str = strawberry.field(description="Name on boards; `Former member` once the account is deleted.")

    @classmethod
    def from_domain(cls, member: domain.Member) -> Self:
        """Shape a member."""
        return cls(id=global_id("Member", member.id), nick_name=member.nick_name)
