"""GraphiQL and the other pages in a browser: queries and subscriptions run, and no request leaves the machine."""

import re

import httpx2
import pytest
from playwright.async_api import Page, expect

from runtime.browser import until
from tests.support.browser import RunningDemo, watched_page
from tests.support.cut_proxy import http_through_proxy
from tests.support.graphql_client import read_operation

pytestmark = [pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="package")]

EXAMPLES = [
    *("Tournaments", "LiveBoard", "MyDashboard", "SaveGuess", "MyLeagues", "AdminExecutions"),
    *("LeaderboardUpdates", "MatchUpdates"),
]

STORED_TAB = "JSON.parse(localStorage.getItem('graphiql:tabState'))?.activeTabIndex"
TALL = {"viewport": {"width": 1280, "height": 4000}}  # the editors draw only the lines in view


async def open_graphiql(page: Page, address: str) -> None:
    await page.goto(f"{address}/graphiql")
    await page.locator(".graphiql-query-editor", has_text="query Tournaments").wait_for()


async def choose(page: Page, example: str) -> None:
    await page.get_by_role("button", name=example, exact=True).click()
    await page.locator(
        ".graphiql-query-editor", has_text=re.compile(rf"(query|mutation|subscription)\s{example}\b")
    ).wait_for()
    # GraphiQL learns the name of the operation after it has drawn the query; it keeps the tab after both.
    await until(page, f"{STORED_TAB} === {EXAMPLES.index(example)}", seconds=10)


async def run(page: Page, example: str) -> None:
    await choose(page, example)
    await page.locator(".graphiql-execute-button").click()


async def expect_answer(page: Page, *parts: str) -> None:
    for part in parts:
        await expect(page.locator(".graphiql-response")).to_contain_text(part, timeout=90_000)


async def sign_in(page: Page, nick: str) -> None:
    await page.get_by_role("button", name=f"Sign in as {nick}").click()
    await page.locator("#who", has_text=f"Signed in as {nick}").wait_for()
    await page.locator(".graphiql-execute-button").wait_for()


async def test_a_query_and_a_subscription_run_and_nothing_leaves_the_machine(demo: RunningDemo) -> None:
    async with watched_page(demo, **TALL) as watched:
        page = watched.page
        await open_graphiql(page, demo.address)
        assert await page.locator(".graphiql-tab-button").all_inner_texts() == EXAMPLES
        await run(page, "LiveBoard")
        await expect_answer(page, '"label": "World Cup"', '"settledMatches"')
        await run(page, "LeaderboardUpdates")
        await expect_answer(page, '"__typename": "LeaderboardDelta"')  # in place of a snapshot: the season goes on
        await page.locator(".graphiql-execute-button").click()
        await run(page, "MatchUpdates")
        await expect_answer(page, '"__typename": "MatchDelta"')
        watched.require_clean()


async def test_a_lost_connection_is_told_in_words(demo: RunningDemo) -> None:
    async with watched_page(demo, **TALL) as watched:
        page = watched.page
        async with http_through_proxy(demo.address) as (_, outside):
            await open_graphiql(page, outside)
            await run(page, "LeaderboardUpdates")
            await expect_answer(page, '"leaderboardUpdates"')
        await expect_answer(page, '"message": "The connection was lost. Run the operation again')
        await expect(page.locator(".graphiql-response")).not_to_contain_text("stack")


async def run_with_headers(page: Page, example: str, headers: str) -> None:
    await choose(page, example)
    await page.get_by_role("button", name="Headers", exact=True).click()
    await page.locator(".graphiql-editor:visible .monaco-editor").last.click()
    await page.keyboard.insert_text(headers)
    await page.locator(".graphiql-execute-button").click()


async def test_a_subscription_is_sent_with_the_token_of_the_headers(demo: RunningDemo) -> None:
    async with watched_page(demo, **TALL) as watched:
        page = watched.page
        await open_graphiql(page, demo.address)
        await run_with_headers(page, "LeaderboardUpdates", '{"Authorization": "Bearer of-nobody"}')
        await expect_answer(page, '"message": "Unauthorized"')


async def test_a_query_is_sent_with_headers_that_the_page_sends_too(demo: RunningDemo) -> None:
    async with watched_page(demo, **TALL) as watched:
        page = watched.page
        await open_graphiql(page, demo.address)
        headers = (
            '{"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Bearer of-nobody"}'
        )
        await run_with_headers(page, "Tournaments", headers)
        await expect_answer(page, '"code": "UNAUTHENTICATED"')


async def test_a_later_visit_finds_the_tabs_as_they_were_left(demo: RunningDemo) -> None:
    async with watched_page(demo, **TALL) as watched:
        page = watched.page
        await open_graphiql(page, demo.address)
        await choose(page, "MyLeagues")
        await page.reload()
        await page.locator(".graphiql-query-editor", has_text="query MyLeagues").wait_for()
        assert await page.locator(".graphiql-tab-button").all_inner_texts() == EXAMPLES
        assert "query=" not in page.url
        watched.require_clean()


async def test_a_member_of_the_demo_signs_in_and_saves_a_guess(demo: RunningDemo) -> None:
    async with watched_page(demo, **TALL) as watched:
        page = watched.page
        await open_graphiql(page, demo.address)
        await run(page, "MyDashboard")
        await expect_answer(page, '"viewer": null')
        await sign_in(page, "ana")
        await run(page, "MyDashboard")
        await expect_answer(page, '"nickName": "ana"', '"platformRole": "MEMBER"')
        await run(page, "SaveGuess")
        await expect_answer(page, '"errors": []', '"home": 2', '"away": 1')
        await run(page, "AdminExecutions")
        await expect_answer(page, "FORBIDDEN")
        await page.get_by_role("button", name="Sign out").click()
        await page.locator("#who", has_text="Not signed in").wait_for()
        watched.require_clean()


async def test_the_admin_of_the_demo_sees_the_executions(demo: RunningDemo) -> None:
    async with watched_page(demo, **TALL) as watched:
        page = watched.page
        await page.goto(demo.address)
        await sign_in(page, "admin")
        await run(page, "AdminExecutions")
        await expect_answer(page, '"trigger": "SYSTEM"', '"state": "COMPLETED"')
        watched.require_clean()


async def test_somebody_new_joins_a_league_by_its_invite(demo: RunningDemo) -> None:
    address = _invite(demo.address)
    async with watched_page(demo, **TALL) as watched:
        page = watched.page
        await page.goto(address)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Join Cup Night")
        await expect(page.get_by_text("Founded by ana")).to_be_visible()
        await page.get_by_label("Nick name").fill("x")
        await page.get_by_label("E-mail").fill("not an address")
        await page.get_by_label("Password").fill("short")
        await page.get_by_role("button", name="Create the account").click()
        await expect(page.get_by_role("alert")).to_have_count(3)  # all faults at once, each at its field
        await page.get_by_label("Nick name").fill("Newcomer")
        await page.get_by_label("E-mail").fill("newcomer@example.org")
        await page.get_by_label("Password").fill("a long enough password")
        await page.get_by_role("button", name="Create the account").click()
        await page.get_by_role("button", name="Join the league").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are in Cup Night.")
        watched.require_clean()


@pytest.mark.parametrize("code", ["NOSUCHCODE", "%E0"])
async def test_an_invite_that_cannot_be_used_says_so(demo: RunningDemo, code: str) -> None:
    async with watched_page(demo, **TALL) as watched:
        await watched.page.goto(f"{demo.address}/join/{code}")
        await expect(watched.page.get_by_role("heading", level=1)).to_have_text("This invite cannot be used.")
        watched.require_clean()


def _invite(address: str) -> str:
    """The page behind an invite to a new league of ana's."""
    with httpx2.Client(base_url=address) as client:
        client.post("/demo/sign-in", data={"nick": "ana", "next": "/"})

        def send(name: str, variables: dict[str, object]) -> dict[str, dict[str, dict[str, str]]]:
            answer = client.post("/graphql", json={"query": read_operation(name), "variables": variables}).json()
            data: dict[str, dict[str, dict[str, str]]] = answer["data"]
            return data

        league = send("createLeague", {"input": {"name": "Cup Night"}})["createLeague"]["league"]
        return send("createLeagueInvite", {"input": {"leagueId": league["id"]}})["createLeagueInvite"]["invite"]["url"]


async def test_on_a_phone_the_answer_stands_below_the_editor(demo: RunningDemo) -> None:
    async with watched_page(demo, viewport={"width": 390, "height": 844}) as watched:
        page = watched.page
        await open_graphiql(page, demo.address)
        editor = await page.locator(".graphiql-editors").bounding_box()
        answer = await page.locator(".graphiql-response").bounding_box()
        assert editor is not None
        assert answer is not None
        assert answer["y"] >= editor["y"] + editor["height"]
        assert min(editor["width"], answer["width"]) > 280
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
