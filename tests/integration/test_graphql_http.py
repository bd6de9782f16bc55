"""GraphQL over HTTP to the letter: methods, media types, sessions, limits, hostile requests, masked errors."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from schema.transport.credentials import COOKIE
from tests.support.api import PASSWORD, Api, running_api
from tests.support.api_world import begin_session, end_sessions
from tests.support.football import make_member
from tests.support.graphql_client import GraphQLClient, answer_of

GRAPHQL_JSON = "application/graphql-response+json"
NAME = "{ __typename }"


@pytest.fixture
async def client(api: Api) -> AsyncIterator[GraphQLClient]:
    async with api.client() as made:
        yield made


async def test_every_answer_names_its_request_time_and_cost(client: GraphQLClient) -> None:
    answers = [
        await client.run("{ tournaments { edges { cursor } } }", x_request_id="mine-1"),
        await client.run("{ nothing }", x_request_id="mine-2"),
        await client.post(b"{", x_request_id="mine-3"),
        await client.run(NAME, x_request_id="not sane\x7f!"),
    ]

    assert [answer.extensions["requestId"] for answer in answers[:3]] == ["mine-1", "mine-2", "mine-3"]
    assert [answer.headers["x-request-id"] for answer in answers[:3]] == ["mine-1", "mine-2", "mine-3"]
    assert len(answers[3].extensions["requestId"]) == 32
    assert [answer.extensions["cost"] for answer in answers] == [26, 0, 0, 0]
    assert all(answer.extensions["serverTime"].endswith("Z") for answer in answers)
    assert answers[1].errors[0]["extensions"] == {"code": "INVALID_INPUT", "requestId": "mine-2"}


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, application/json;q=0.9", GRAPHQL_JSON),
        ("application/*", "application/json"),
    ],
)
async def test_the_answer_has_the_media_type_that_was_asked_for(
    accept: str | None, media: str, client: GraphQLClient
) -> None:
    del client.http.headers["accept"]
    response = await client.http.post(
        "/graphql", json={"query": NAME}, headers={"accept": accept} if accept is not None else {}
    )

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media}; charset=utf-8"
    assert response.json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{ nothing }"},
        {"query": "{"},
        {"query": "query A { __typename } query B { __typename }"},
        {"query": "query A { __typename }", "operationName": "B"},
        {"query": "query ($id: ID!) { match(id: $id) { id } }"},
        {"query": "query ($id: ID!) { match(id: $id) { id } }", "variables": {"id": []}},
        {"query": "subscription { executionUpdates { id } }"},
    ],
)
async def test_a_wrong_document_is_200_for_old_clients_and_400_for_new_ones(
    body: dict[str, Any], client: GraphQLClient
) -> None:
    old, new = await client.send(body), await client.send(body, accept=GRAPHQL_JSON)

    assert (old.status, new.status) == (200, 400)
    assert "data" not in old.body
    assert "data" not in new.body
    assert set(old.codes) == {"INVALID_INPUT"}


async def test_a_field_error_is_200_with_data_for_everybody(client: GraphQLClient) -> None:
    answer = await client.run("{ a: __typename tournaments(first: 0) { edges { cursor } } }", accept=GRAPHQL_JSON)
    part = await client.run("{ a: __typename admin { executions { edges { cursor } } } }", accept=GRAPHQL_JSON)

    assert (answer.status, answer.body["data"], answer.codes) == (200, None, ["INVALID_INPUT"])
    assert (part.status, part.body["data"]) == (200, {"a": "Query", "admin": None})
    assert part.codes == ["UNAUTHENTICATED"]
    assert part.errors[0]["path"] == ["admin"]


NO_REQUESTS = [
    b"",
    b"{",
    b'"text"',
    b"17",
    b"null",
    b"true",
    b"[]",
    b'[{"query":"{ __typename }"}]',
    b"{}",
    b'{"query":null}',
    b'{"query":""}',
    b'{"query":17}',
    b'{"query":"{ __typename }","variables":[]}',
    b'{"query":"{ __typename }","variables":"x"}',
    b'{"query":"{ __typename }","operationName":17}',
    b'{"query":"{ __typename }","extensions":[]}',
    b'{"query":"\xff"}',
    b'{"query":"\\ud800"}',
    b'{"query":"{ __typename }","variables":{"a":NaN}}',
    b'{"query":"{ __typename }","variables":{"a":Infinity}}',
    b'{"query":"{ __typename }","variables":{"a":' + b"1" * 5_000 + b"}}",
    b'{"query":"{ __typename }","variables":{"a":"\\u0000"}}',
    b'{"query":"{ __typename }","variables":{"\\u0000":1}}',
    b'{"query":"{ __typename }","variables":{"a":' + b"[" * 100 + b"]" * 100 + b"}}",
    b"[" * 60_000,
    b"\x1f\x8b\x08\x00",
]


async def test_what_is_no_request_is_refused_with_400(client: GraphQLClient) -> None:
    for body in NO_REQUESTS:
        answer = await client.post(body)

        assert (answer.status, answer.codes) == (400, ["INVALID_INPUT"]), body[:80]
        assert "data" not in answer.body


async def test_nul_in_a_document_is_refused(client: GraphQLClient) -> None:
    answer = await client.run('{ leagueInvite(code: "\\u0000") { leagueName } }')

    assert answer.codes == ["INVALID_INPUT"]


async def test_other_media_types_are_refused(client: GraphQLClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json-seq", ""):
        answer = await client.post(b'{"query":"{ __typename }"}', **{"content-type": kind})
        assert answer.status == 415, kind
    latin = await client.post(b'{"query":"{ __typename }"}', **{"content-type": "application/json; charset=latin-1"})
    zipped = await client.post(b"...", **{"content-encoding": "gzip"})
    unacceptable = await client.run(NAME, accept="text/html")

    assert (latin.status, zipped.status, unacceptable.status) == (415, 415, 406)
    assert "/graphiql" in unacceptable.errors[0]["message"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused_by_an_answer_like_any_other(client: GraphQLClient, method: str) -> None:
    response = await client.http.request(method, "/graphql", json={"query": NAME})
    answer = answer_of(response)

    assert (answer.status, answer.codes, answer.headers["allow"]) == (405, ["INVALID_INPUT"], "GET, HEAD, POST")
    assert set(answer.extensions) == {"requestId", "serverTime", "cost"}


async def test_queries_may_be_read_by_get_and_mutations_may_not(client: GraphQLClient) -> None:
    document = "query A($id: ID!) { match(id: $id) { id } } query B { __typename }"
    query = await client.get(query=document, variables='{"id": "x"}', operationName="A")
    mutation = await client.get(query="mutation { signOut { errors { code } } }")
    wrong = await client.get(query=NAME, variables="{")
    missing = await client.get()

    assert query.data == {"match": None}
    assert (mutation.status, mutation.headers["allow"]) == (405, "POST")
    assert (wrong.status, missing.status) == (400, 400)


async def test_too_much_is_refused_before_it_is_read(client: GraphQLClient) -> None:
    body = await client.post(b'{"query":"' + b" " * 300_000 + b'{ __typename }"}')
    document = await client.run("#" + "x" * 17_000 + "\n" + NAME)
    long_list = await client.send({"query": NAME, "variables": {"a": [0] * 251}})
    headers = await client.http.post("/graphql", json={"query": NAME}, headers={"x-filler": "x" * 17_000})
    many = await client.http.post("/graphql", json={"query": NAME}, headers={f"x-{n}": "y" for n in range(101)})

    assert (body.status, document.codes) == (413, ["TOO_COMPLEX"])
    assert (long_list.status, long_list.codes) == (400, ["INVALID_INPUT"])
    assert (headers.status_code, many.status_code) == (431, 431)


async def test_a_cookie_signs_in_and_is_not_for_scripts(api: Api, client: GraphQLClient) -> None:
    signed_up = await client.operation(
        "signUp", input={"email": "a@example.org", "password": PASSWORD, "nickName": "Ana"}
    )
    cookie = signed_up.headers["set-cookie"]
    me = await client.run("{ viewer { email } }")
    out = await client.operation("signOut")
    after = await client.run("{ viewer { email } }")

    assert signed_up.data["signUp"]["token"] is None
    assert cookie.startswith(f"{COOKIE}=")
    assert [part.strip() for part in cookie.split(";")[1:]] == [
        "HttpOnly",
        "Max-Age=2592000",
        "Path=/",
        "SameSite=lax",
    ]
    assert me.data == {"viewer": {"email": "a@example.org"}}
    assert out.data == {"signOut": {"errors": []}}
    assert after.data == {"viewer": None}
    assert "sessionEnded" not in after.extensions
    assert api.settings.cookies_are_secure is False


async def test_behind_tls_the_cookie_is_secure(database_url: str, valkey_url: str, tmp_path: Path) -> None:
    async with running_api(database_url, valkey_url, tmp_path, public_url="https://palpite.example") as api:
        answer = await api.client().operation(
            "signUp", input={"email": "a@example.org", "password": PASSWORD, "nickName": "Ana"}
        )

    assert "Secure" in answer.headers["set-cookie"]


async def test_an_ended_cookie_is_taken_away_and_counts_as_nobody(api: Api, client: GraphQLClient) -> None:
    member_id = await make_member(api.database, "Ana")
    client.http.cookies.set(COOKIE, await begin_session(api, member_id), domain="127.0.0.1", path="/")
    await end_sessions(api, member_id)
    answer = await client.run("{ viewer { email } }")
    again = await client.run("{ viewer { email } }")

    assert answer.data == {"viewer": None}
    assert answer.extensions["sessionEnded"] is True
    assert f'{COOKIE}=""' in answer.headers["set-cookie"]
    assert "sessionEnded" not in again.extensions


@pytest.mark.parametrize(
    "value", ["Bearer nonsense", "Bearer ", "Bearer", "Basic YTpi", "nonsense", "bearer " + "x" * 600]
)
async def test_a_bad_token_is_refused_and_never_taken_as_nobody(value: str, client: GraphQLClient) -> None:
    answer = await client.run(NAME, authorization=value)

    assert (answer.status, answer.codes, answer.headers["www-authenticate"]) == (401, ["UNAUTHENTICATED"], "Bearer")


async def test_an_ended_or_expired_token_is_refused(api: Api) -> None:
    member_id = await make_member(api.database, "Ana")
    ended, expired = await begin_session(api, member_id), await begin_session(api, member_id, days=-1)
    await end_sessions(api, member_id)

    assert (await api.client(ended).run(NAME)).status == 401
    assert (await api.client(expired).run(NAME)).status == 401


async def test_pages_of_other_sites_cannot_act_for_a_visitor(api: Api, client: GraphQLClient) -> None:
    client.http.cookies.set(COOKIE, await begin_session(api, await make_member(api.database, "Ana")))
    document = 'mutation { createLeague(input: {name: "Five"}) { errors { code } } }'
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8000.evil.example", "https://127.0.0.1:9000"):
        answer = await client.run(document, origin=origin)
        assert (answer.status, answer.codes) == (403, ["FORBIDDEN"]), origin
    for origin in (api.settings.public_url, "http://127.0.0.1:8000"):
        assert (await client.run(document, origin=origin)).data == {"createLeague": {"errors": []}}


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("origin", ["http://[::1", "http://]x[", "http://[", "http://[x]"])
async def test_an_origin_that_is_none_is_foreign(
    accept: str, origin: str, client: GraphQLClient, caplog: pytest.LogCaptureFixture
) -> None:
    headers = [(b"accept", accept.encode()), (b"origin", origin.encode())]
    response = await client.http.post(
        "/graphql", json={"query": "mutation { signOut { errors { code } } }"}, headers=headers
    )
    answer = answer_of(response)

    assert (answer.status, answer.codes) == (403, ["FORBIDDEN"])
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_session_for_a_cookie_cannot_be_planted_from_elsewhere(client: GraphQLClient) -> None:
    answer = await client.operation("signUp", input={"email": "a@example.org", "password": PASSWORD, "nickName": "Ana"})
    assert answer.status == 200
    planted = await client.run(
        f'mutation {{ signIn(input: {{email: "a@example.org", password: "{PASSWORD}"}}) {{ token }} }}',
        origin="https://evil.example",
    )

    assert (planted.status, "set-cookie" in planted.headers) == (403, False)


async def test_unexpected_errors_are_masked(api: Api, client: GraphQLClient, caplog: pytest.LogCaptureFixture) -> None:
    async with api.database.begin() as connection:
        await connection.execute(text("ALTER TABLE tournaments RENAME TO hidden"))
    answer = await client.run("{ tournaments { edges { cursor } } }", x_request_id="broken-1")

    assert answer.codes == ["INTERNAL"]
    assert answer.errors[0]["message"] == "Unexpected error; it is logged under the request id broken-1."
    assert "tournaments" not in str(answer.errors[0]["extensions"])
    assert [record.levelname for record in caplog.records if record.name == "schema.transport.faults"] == ["ERROR"]


async def test_passwords_cannot_be_tried_out(database_url: str, valkey_url: str, tmp_path: Path) -> None:
    tries = ("a: signIn(input: IN) { errors { code retryAfterSeconds } }", "b: signIn(input: IN) { errors { code } }")
    document = f"mutation {{ {' '.join(tries)} }}"
    document = document.replace("IN", '{email: "a@example.org", password: "wrong"}')
    async with running_api(database_url, valkey_url, tmp_path, sign_in_limit=3) as api:
        first = (await api.client().run(document)).data
        second = (await api.client().run(document)).data
        codes = (await api.client().run('{ leagueInvite(code: "x") { leagueName } }')).data
        elsewhere = (await api.client(address="10.0.0.7").run(document)).data

    assert [error["code"] for payload in first.values() for error in payload["errors"]] == ["INVALID_CREDENTIALS"] * 2
    assert second["a"]["errors"] == [{"code": "INVALID_CREDENTIALS", "retryAfterSeconds": None}]
    assert second["b"]["errors"] == [{"code": "RATE_LIMITED"}]
    assert codes == {"leagueInvite": None}
    assert [error["code"] for payload in elsewhere.values() for error in payload["errors"]] == [
        "INVALID_CREDENTIALS"
    ] * 2


async def test_invite_codes_cannot_be_tried_out(database_url: str, valkey_url: str, tmp_path: Path) -> None:
    async with running_api(database_url, valkey_url, tmp_path, sign_in_limit=2) as api:
        answers = [await api.client().run('{ leagueInvite(code: "x") { leagueName } }') for _ in range(3)]

    assert [answer.body["data"] for answer in answers] == [{"leagueInvite": None}] * 3
    assert answers[2].codes == ["RATE_LIMITED"]
    assert 1 <= answers[2].errors[0]["extensions"]["retryAfterSeconds"] <= 60


async def test_without_valkey_it_signs_in_and_counts_in_its_own_memory(
    database_url: str, valkey: Redis, tmp_path: Path
) -> None:
    nowhere = f"unix://{tmp_path}/nothing.sock"
    async with running_api(database_url, nowhere, tmp_path, sign_in_limit=2) as api:
        document = 'mutation { signIn(input: {email: "a@example.org", password: "wrong"}) { errors { code } } }'
        answers = [(await api.client().run(document)).data["signIn"]["errors"][0]["code"] for _ in range(3)]
        tournaments = await api.client().run("{ tournaments { edges { cursor } } }")
        ready = await api.client().http.get("/readyz")

    assert answers == ["INVALID_CREDENTIALS", "INVALID_CREDENTIALS", "RATE_LIMITED"]
    assert tournaments.status == 200
    assert ready.status_code == 503
    assert await valkey.ping()


async def test_without_postgres_the_answer_is_typed(tmp_path: Path, valkey_url: str) -> None:
    nowhere = f"postgresql://postgres@/db?host={tmp_path}"
    async with running_api(nowhere, valkey_url, tmp_path) as api:
        answer = await api.client().run("{ tournaments { edges { cursor } } }")
        token = await api.client("x" * 43).run(NAME)
        alive = await api.client().http.get("/healthz")

    assert answer.codes == ["UNAVAILABLE"]
    assert (token.status, token.codes) == (503, ["UNAVAILABLE"])
    assert alive.status_code == 200


async def test_every_answer_is_safe_for_browsers(client: GraphQLClient) -> None:
    for path in ("/graphql?query={__typename}", "/healthz", "/nothing", "/graphiql", "/files/x"):
        response = await client.http.get(path)
        assert response.headers["x-content-type-options"] == "nosniff", path
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"], path
        assert "server" not in response.headers
    assert answer_of(await client.http.get("/graphql?query={__typename}")).headers["cache-control"] == "no-store"


async def test_introspection_is_answered(client: GraphQLClient) -> None:
    from graphql import build_client_schema, get_introspection_query, print_schema

    from schema.build import build_schema

    answer = await client.run(get_introspection_query(input_value_deprecation=True))

    assert print_schema(build_client_schema(answer.data)) == print_schema(build_schema())  # type: ignore[arg-type]
