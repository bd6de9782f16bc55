"""Commands of administrators over the API, and what came of them."""

from typing import Any

from tests.support.graphql_client import GraphQLClient


async def call(client: GraphQLClient, name: str, /, **values: Any) -> dict[str, Any]:
    """Run a command's document; the answer is its payload."""
    payload: dict[str, Any] = (await client.operation(name, input={"reason": "tested", **values})).data[name]
    return payload


def refusals(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    """Code and field of each refusal."""
    return [(error["code"], error["field"]) for error in payload["errors"]]
