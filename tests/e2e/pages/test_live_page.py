"""The live page during a replayed season: rows move without a reload, losses are noticed, a dead server is survived."""

import asyncio
import json
import re
from contextlib import suppress
from typing import Any

import psutil
import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from runtime.browser import until
from tests.support.browser import RunningDemo, watched_page
from tests.support.executions import until as until_it
from tests.support.palpite import get_json

pytestmark = [pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="package")]

ROWS = """
[...document.querySelectorAll("tbody tr")].map((row) => ({
  id: row.dataset.row,
  rank: parseInt(row.querySelector(".rank").textContent),
  nick: row.querySelector(".nick").textContent,
  points: parseInt(row.querySelector("td.points strong").textContent),
}))
"""
# The page and a fresh answer of the API at the same version, read in one go until they meet: versions that show nothing
# new are not told.
PAGE_AND_API = """
(async () => {
  const query = await (await fetch("/operations/LiveScoreboard.graphql")).text();
  const id = document.querySelector("select").value;
  for (let tries = 0; tries < 3000; tries += 1) {
    const answer = await fetch("/graphql", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query, variables: { id } }),
    });
    const { leaderboard } = (await answer.json()).data.tournament;
    const version = Number(document.querySelector("[data-version]").textContent);
    if (leaderboard.streamPosition.version === version) {
      const rows = leaderboard.rows.edges.map(({ node }) => (
        { id: node.id, rank: node.rank, nick: node.member.nickName, points: node.points }));
      return { page: ROWS, api: rows };
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { page: "the page never met the API", api: [] };
})()
""".replace("ROWS", ROWS.strip())

SHOWS_MORE_POINTS = """
(() => {
  const before = new Map(window.before.map((row) => [row.id, row]));
  const after = ROWS.filter(({ id }) => before.has(id));
  return after.some(({ id, points }) => points > before.get(id).points)
    && after.some(({ id, rank }) => rank !== before.get(id).rank);
})()
""".replace("ROWS", ROWS.strip())
# The last eight, or what the season has had so far.
SHOWS_RESULTS = """
document.querySelectorAll("[aria-labelledby=results-title] .score").length
  >= Math.min(8, document.querySelector("progress").value)
"""


async def version(page: Page) -> int:
    return int(await page.locator("[data-version]").inner_text())


async def wait_for_news(page: Page, versions: int = 1, seconds: float = 60) -> None:
    """Until the board has moved on by so many versions."""
    wanted = await version(page) + versions
    await until(page, f"Number(document.querySelector('[data-version]').textContent) >= {wanted}", seconds=seconds)


async def open_live(page: Page, address: str) -> None:
    await page.goto(f"{address}/live")
    await page.evaluate("window.sameDocument = true")
    await page.locator("tbody tr").first.wait_for()
    await expect(page.get_by_role("status")).to_have_text("Live")


async def test_rows_change_without_a_reload_and_equal_the_api(demo: RunningDemo) -> None:
    async with watched_page(demo) as watched:
        page = watched.page
        await open_live(page, demo.address)
        assert await page.evaluate(f"(window.before = {ROWS.strip()}).length") == 50
        await until(page, SHOWS_MORE_POINTS, seconds=120)  # goals of one match may be worth nothing to these members
        await wait_for_news(page, versions=8, seconds=120)
        assert await page.locator(".won").count() > 0
        compared = await page.evaluate(PAGE_AND_API)
        assert compared["page"] == compared["api"]
        assert len(compared["api"]) == 50
        assert await page.evaluate("window.sameDocument")
        watched.require_clean()


async def test_results_and_counts_come_in_beside_the_board(demo: RunningDemo) -> None:
    async with watched_page(demo) as watched:
        page = watched.page
        await open_live(page, demo.address)
        assert "World Cup" in await page.title()
        settled = int((await page.locator(".progress p").inner_text()).split()[0])
        await until(page, f"document.querySelector('progress').value > {settled}", seconds=60)
        await until(page, SHOWS_RESULTS, seconds=60)
        results = page.get_by_role("region", name="Last results").locator(".score")
        assert all(re.fullmatch(r"\d+\u2013\d+", text) for text in await results.all_inner_texts())
        watched.require_clean()


async def test_a_lost_delta_is_noticed_and_made_good(demo: RunningDemo) -> None:
    dropped: list[int] = []
    asked: list[dict[str, Any]] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def from_page(message: str | bytes) -> None:
            sent = json.loads(message)
            if sent["type"] == "subscribe" and "leaderboardUpdates" in sent["payload"]["query"]:
                asked.append(sent["payload"]["variables"])
            server.send(message)

        def from_server(message: str | bytes) -> None:
            event = (json.loads(message).get("payload") or {}).get("data", {}).get("leaderboardUpdates", {})
            if event.get("__typename") == "LeaderboardDelta" and not dropped:
                dropped.append(event["version"])
                return
            socket.send(message)

        socket.on_message(from_page)
        server.on_message(from_server)

    async with watched_page(demo) as watched:
        page = watched.page
        await page.route_web_socket("**/graphql", between)
        await open_live(page, demo.address)
        first = await version(page)
        async with asyncio.timeout(60):
            while len(asked) < 2:
                await page.wait_for_timeout(50)
        # It asked anew, from the last version that it had been able to apply.
        assert first <= asked[1]["after"]["version"] < dropped[0]
        await wait_for_news(page, versions=5)
        compared = await page.evaluate(PAGE_AND_API)
        assert compared["page"] == compared["api"]
        watched.require_clean()


@pytest.mark.parametrize(
    "lost", ["**/operations/MatchUpdates.graphql", "**/operations/LiveTournaments.graphql", "**/graphql"]
)
async def test_the_page_begins_although_the_server_went_away_meanwhile(demo: RunningDemo, lost: str) -> None:
    failed: list[str] = []

    async def fail_once(route: Route) -> None:
        if failed:
            await route.continue_()
        else:
            failed.append(route.request.url)
            await route.abort("connectionrefused")

    async with watched_page(demo) as watched:
        await watched.page.route(lost, fail_once)
        await open_live(watched.page, demo.address)
        await wait_for_news(watched.page)
        assert len(failed) == 1
        assert await watched.page.get_by_role("alert").count() == 0


async def test_the_page_outlives_its_server(demo: RunningDemo) -> None:
    async with watched_page(demo) as watched:
        page = watched.page
        await open_live(page, demo.address)
        _kill_api(demo)
        await expect(page.get_by_role("status")).not_to_have_text("Live")
        await until_it(lambda: _answers(demo), within=180)  # on a busy machine a start alone takes a minute
        await expect(page.get_by_role("status")).to_have_text("Live", timeout=60_000)
        await wait_for_news(page)
        assert await page.evaluate("window.sameDocument")
        assert watched.left == []  # failed connections are faults here, and expected


async def _answers(demo: RunningDemo) -> bool:
    with suppress(OSError):
        status, _ = await asyncio.to_thread(get_json, f"{demo.address}/healthz")
        return status == 200
    return False


def _kill_api(demo: RunningDemo) -> None:
    children = psutil.Process(demo.palpite.process.pid).children(recursive=True)
    next(child for child in children if child.cmdline()[-1:] == ["serve"]).kill()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
async def test_it_fits_every_screen(demo: RunningDemo, width: int) -> None:
    options = {"viewport": {"width": width, "height": 844}, "color_scheme": "dark", "reduced_motion": "reduce"}
    async with watched_page(demo, **options) as watched:
        page = watched.page
        await open_live(page, demo.address)
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        moving = "document.querySelector('tbody').getAnimations({ subtree: true }).some((one) => one.id === 'flip')"
        await wait_for_news(page, versions=2)
        assert not await page.evaluate(moving)  # the reader asked for no motion
        watched.require_clean()


async def test_a_tournament_can_be_chosen_by_its_address_and_an_unknown_one_is_said_to_be_so(demo: RunningDemo) -> None:
    async with watched_page(demo) as watched:
        page = watched.page
        await open_live(page, demo.address)
        chosen = await page.get_by_label("Tournament").first.locator("select").input_value()
        await page.goto(f"{demo.address}/live/{chosen}")
        await page.locator("tbody tr").first.wait_for()
        for unknown in ("VG91cm5hbWVudDow", "%E0%A4%A"):
            await page.goto(f"{demo.address}/live/{unknown}")
            await page.get_by_text("This tournament does not exist.").wait_for()
            await expect(page.locator(".connection")).to_be_hidden()
            await expect(page.locator("option:checked")).to_have_text("Choose one")
        await page.locator("select").select_option(chosen)
        await expect(page.get_by_role("status")).to_have_text("Live")
        watched.require_clean()


async def test_without_a_server_the_page_says_that_it_goes_on_trying(demo: RunningDemo) -> None:
    async with watched_page(demo) as watched:
        page = watched.page
        await open_live(page, demo.address)
        await page.context.set_offline(True)
        await expect(page.get_by_role("status")).to_have_text("Server away, trying again")
        await page.context.set_offline(False)
        await expect(page.get_by_role("status")).to_have_text("Live")


RULES = [
    (None, {"__typename": "LeaderboardSnapshot", "epoch": "a", "version": 7}, "replace"),
    (("a", 9), {"__typename": "MatchSnapshot", "epoch": "b", "version": 1}, "replace"),
    (("a", 7), {"__typename": "LeaderboardDelta", "epoch": "a", "fromVersion": 7, "version": 9}, "merge"),
    (("a", 7), {"__typename": "LeaderboardDelta", "epoch": "a", "fromVersion": 6, "version": 9}, "gap"),
    (("a", 7), {"__typename": "LeaderboardDelta", "epoch": "a", "fromVersion": 8, "version": 9}, "gap"),
    (("a", 7), {"__typename": "MatchDelta", "epoch": "b", "fromVersion": 7, "version": 9}, "gap"),
    (None, {"__typename": "MatchDelta", "epoch": "a", "fromVersion": 0, "version": 1}, "gap"),
    (("a", 7), {"__typename": "Heartbeat", "epoch": "a", "version": 7}, "nothing"),
    (("a", 7), {"__typename": "Heartbeat", "epoch": "a", "version": 8}, "gap"),
    (("a", 7), {"__typename": "Heartbeat", "epoch": "b", "version": 7}, "gap"),
    (("a", 7), {"__typename": "Resync", "epoch": "b", "version": 9, "reason": "TOO_OLD"}, "nothing"),
]


async def test_the_rules_of_a_stream(demo: RunningDemo) -> None:
    async with watched_page(demo) as watched:
        await watched.page.goto(f"{demo.address}/")
        for position, event, expected in RULES:
            stands = None if position is None else {"epoch": position[0], "version": position[1]}
            found = await watched.page.evaluate(
                "async ([stands, event]) => (await import('/static/stream.js')).verdict(stands, event)", [stands, event]
            )
            assert (position, event, found) == (position, event, expected)
