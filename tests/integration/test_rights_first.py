"""Who may not call an operation is told so even when what it asks for is malformed: every operation of the schema."""

from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_input_field,
)

from schema.build import build_schema
from tests.support.api import Api, open_stream
from tests.support.api_world import begin_session
from tests.support.football import make_member
from tests.support.graphql_client import GraphQLClient, read_operation

_PLAIN = {"ID": "malformed", "String": "x", "Int": 1, "Float": 1.0, "Boolean": True, "DateTime": "2026-01-01T00:00:00Z"}
_MUTATIONS = build_schema().mutation_type
assert _MUTATIONS is not None
FIELDS = {
    name: field for name, field in _MUTATIONS.fields.items() if not str(field.description).endswith("Open to anyone.")
}


def malformed(kind: GraphQLInputType) -> Any:
    """A value of a type that nothing can be found by."""
    plain, named = get_nullable_type(kind), get_named_type(kind)
    if is_list_type(plain):
        return [malformed(plain.of_type)]
    if isinstance(named, GraphQLInputObjectType):
        wanted = [name for name, field in named.fields.items() if is_wanted(field)]
        if named.extensions["strawberry-definition"].is_one_of:
            wanted = wanted[:1] or list(named.fields)[:1]
        return {name: malformed(named.fields[name].type) for name in wanted}
    return next(iter(named.values)) if isinstance(named, GraphQLEnumType) else _PLAIN[named.name]


def is_wanted(field: Any) -> bool:
    return is_required_input_field(field) or get_named_type(field.type).name == "ID"


async def refusal(client: GraphQLClient, name: str) -> str:
    """What a client is told that calls a mutation so."""
    arguments = FIELDS[name].args
    if "input" not in arguments:
        answer = await client.run(f"mutation {{ {name} {{ errors {{ code }} }} }}")
    else:
        kind = arguments["input"].type
        document = f"mutation($input: {kind}) {{ {name}(input: $input) {{ errors {{ code }} }} }}"
        answer = await client.run(document, {"input": malformed(kind)})
    return str(answer.data[name]["errors"][0]["code"])


async def test_nobody_is_asked_to_sign_in_first(api: Api) -> None:
    client = api.client()
    assert {name: await refusal(client, name) for name in FIELDS} == dict.fromkeys(FIELDS, "UNAUTHENTICATED")


async def test_members_are_told_what_only_platform_admins_may_do(api: Api) -> None:
    client = await api.sign_up("Ana")
    admins = [name for name, field in FIELDS.items() if str(field.description).endswith("Platform admins.")]
    assert len(admins) > 10
    assert {name: await refusal(client, name) for name in admins} == dict.fromkeys(admins, "FORBIDDEN")


@pytest.mark.parametrize("name", ["joinTournament", "leaveLeague"])
async def test_who_may_call_it_is_told_what_is_wrong(api: Api, name: str) -> None:
    assert await refusal(await api.sign_up("Ana"), name) == "NOT_FOUND"


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("leaderboardUpdates", {"board": {"leagueId": "malformed"}}),
        ("executionUpdates", {"ids": ["malformed"]}),
    ],
)
async def test_nobody_is_asked_to_sign_in_first_by_streams(address: str, name: str, variables: dict[str, Any]) -> None:
    async with open_stream(address) as stream:
        await stream.subscribe("1", read_operation(name), **variables)
        (error,) = (await stream.receive())["payload"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", ["executionUpdates", "operationsUpdates"])
async def test_streams_refuse_in_the_words_of_queries(address: str, api: Api, name: str) -> None:
    token = await begin_session(api, await make_member(api.database, "Ana"))
    for bearer, words in ((None, "Sign in first."), (token, "Only platform admins may do this.")):
        async with open_stream(address, bearer) as stream:
            await stream.subscribe("1", read_operation(name))
            (error,) = (await stream.receive())["payload"]
            assert error["message"] == words
