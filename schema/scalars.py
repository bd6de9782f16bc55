"""The scalars of the contract that GraphQL does not bring."""

from datetime import UTC, datetime

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

LARGEST_INT = 2_147_483_647
"""GraphQL's Int has 32 bits."""


def _write(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read(text: object) -> datetime:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise GraphQLError("DateTime must be an instant like `2026-11-24T13:40:45Z`.")
    try:
        return found.astimezone(UTC)
    except OverflowError as problem:
        raise GraphQLError("DateTime is out of bounds.") from problem


DATE_TIME: ScalarDefinition = strawberry.scalar(
    name="DateTime",
    description="An instant in UTC, ISO 8601 (`2026-11-24T13:40:45Z`).",
    serialize=_write,
    parse_value=_read,
)
