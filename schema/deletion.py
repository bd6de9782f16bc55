"""How a member deletes the account."""

import strawberry

from domain.member.erasure.model import ErasureMode
from schema.describe import describe
from schema.shared import UserError

describe(
    ErasureMode,
    "What becomes of a deleted member's guesses and points.",
    KEEP_ANONYMOUS="They stay on boards under `Former member`.",
    REMOVE_FROM_BOARDS="They go, and the boards are ranked again without them.",
)


@strawberry.input(description="Input of `deleteAccount`.")
class DeleteAccountInput:
    erasure: ErasureMode = strawberry.field(description="What becomes of guesses and points.")
    confirm_nick_name: str = strawberry.field(description="The viewer's nick name, typed again.")


@strawberry.type(
    description="Result of `deleteAccount`; founders of leagues with other members are refused with LAST_ADMIN until "
    "they transfer or delete them."
)
class DeleteAccountPayload:
    deleted_member_id: strawberry.ID | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")
