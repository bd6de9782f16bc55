"""The pages as a browser gets them: addresses, what they may load, caching, the demo's sign-in, their operations."""

from pathlib import Path

import pytest
from graphql import parse, validate
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.testclient import TestClient

from runtime.assets import ensure
from schema.build import build_schema
from tests.support.graphql_client import CONTRACT
from tests.support.palpite import REPOSITORY
from web import pages

OPERATIONS = REPOSITORY / "web" / "operations"
PAGES = ["/", "/live", "/live/VG91cm5hbWVudDox", "/graphiql", "/join/ABCD1234"]


async def sign_in_as(nick: str) -> Response | None:
    if nick != "ana":
        return None
    response = Response()
    response.set_cookie("session", "of-ana", httponly=True)
    return response


def client(assets: Path, sign_in: pages.SignInAs | None = None) -> TestClient:
    app = Starlette(routes=pages.routes(assets, sign_in_as=sign_in), exception_handlers={404: pages.not_found})
    return TestClient(app, follow_redirects=False)


@pytest.fixture(scope="session")
def assets() -> Path:
    return ensure(REPOSITORY / ".palpite")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_loads_scripts_of_this_server_only(assets: Path, path: str) -> None:
    answer = client(assets).get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "://" not in answer.text
    assert "<title>" in answer.text
    assert 'lang="en"' in answer.text


def test_everything_that_the_pages_name_is_there(assets: Path) -> None:
    served = client(assets)
    for path in PAGES:
        for part in served.get(path).text.split('"'):
            if part.startswith(("/static/", "/assets/")):
                answer = served.get(part)
                assert (part, answer.status_code) == (part, 200)
                assert answer.headers["cache-control"] == "no-cache"
                assert "etag" in answer.headers


def test_an_unchanged_file_is_not_sent_again(assets: Path) -> None:
    served = client(assets)
    first = served.get("/assets/graphiql/graphiql.css")
    again = served.get("/assets/graphiql/graphiql.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_an_unknown_address_is_a_page_for_people_and_a_word_for_programs(assets: Path) -> None:
    served = client(assets)
    page = served.get("/nothing", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "There is nothing at this address." in page.text
    word = served.get("/static/nothing.js", headers={"accept": "*/*"})
    assert (word.status_code, word.text) == (404, "Not found")
    assert served.get("/static/../pages.py").status_code == 404
    assert served.get("/static/%2e%2e/pages.py").status_code == 404


def test_without_the_assets_a_page_says_what_to_do(tmp_path: Path) -> None:
    answer = client(tmp_path).get("/live")
    assert answer.status_code == 503
    assert "palpite assets" in answer.text
    assert client(tmp_path).get("/").status_code == 200


def test_the_demo_signs_in_by_post_only_and_goes_back(assets: Path) -> None:
    served = client(assets, sign_in_as)
    answer = served.post("/demo/sign-in", data={"nick": "ana", "next": "/live"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/live")
    assert answer.headers["set-cookie"].startswith("session=of-ana; HttpOnly")
    assert served.get("/demo/sign-in").status_code == 405
    assert served.post("/demo/sign-in", data={"nick": "nobody"}).status_code == 404
    assert "Sign in as ana" in served.get("/graphiql").text


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "live"])
def test_the_demo_sends_nobody_elsewhere(assets: Path, back: str) -> None:
    answer = client(assets, sign_in_as).post("/demo/sign-in", data={"nick": "ana", "next": back})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_the_demo_sign_in_refuses_other_sites_and_large_bodies(assets: Path) -> None:
    served = client(assets, sign_in_as)
    foreign = served.post("/demo/sign-in", data={"nick": "ana"}, headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403
    assert "set-cookie" not in foreign.headers
    assert served.post("/demo/sign-in", data={"nick": "a" * 5000}).status_code == 413


def test_outside_the_demo_there_is_no_such_sign_in(assets: Path) -> None:
    served = client(assets)
    assert served.post("/demo/sign-in", data={"nick": "ana"}).status_code == 404
    assert "Sign in as" not in served.get("/graphiql").text


@pytest.mark.parametrize("file", sorted(OPERATIONS.rglob("*.graphql")), ids=lambda file: file.stem)
def test_every_operation_of_the_pages_is_valid(file: Path) -> None:
    assert validate(build_schema(), parse(file.read_text())) == []


@pytest.mark.parametrize("name", ["liveScoreboard", "leaderboardUpdates", "matchUpdates", "leagueInvite"])
def test_the_live_page_sends_the_documents_of_the_contract(name: str) -> None:
    ours = (OPERATIONS / f"{name[0].upper()}{name[1:]}.graphql").read_text()
    assert ours == (CONTRACT / "operations" / f"{name}.graphql").read_text()
