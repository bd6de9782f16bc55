"""A browser for tests, a demo that is being played, and a page that notes what must never happen on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, expect

from runtime.browser import open_browser
from runtime.settings import load_settings
from tests.support.memory import data_in_memory
from tests.support.palpite import RunningPalpite, started_palpite

PLAY = ("--season", "2022/worldcup", "--members", "60")
"""Fewer matches and members than a demo has: to invent guesses and read results takes longer than to look at pages."""


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """A demo whose season has begun, its address, and a browser to look at it."""

    palpite: RunningPalpite
    address: str
    browser: Browser


@asynccontextmanager
async def running_demo() -> AsyncIterator[RunningDemo]:
    """A demo on a data folder of its own, with news for a quarter of an hour; at the end nothing of it is left.

    Without a browser the tests fail.
    """
    settings = load_settings()
    expect.set_options(timeout=30_000)  # ms; a busy machine is no fault of the page
    with (
        data_in_memory() as data,
        started_palpite("demo", *PLAY, "--port", "0", "--data", str(data)) as palpite,
    ):
        line = palpite.wait_for_line(lambda line: "Live board" in line, seconds=300)
        async with open_browser(settings.data, settings.browser) as browser:
            yield RunningDemo(palpite, line.split()[-1].removesuffix("/live"), browser)


@dataclass(slots=True)
class Watched:
    """A page, and what went wrong on it or left the machine."""

    page: Page
    address: str
    left: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def require_clean(self) -> None:
        """Nothing was asked of another machine, and nothing failed in the page."""
        assert self.left == []
        assert self.faults == []

    def _note_address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != urlsplit(self.address).netloc:
            self.left.append(url)


@asynccontextmanager
async def watched_page(demo: RunningDemo, **options: Any) -> AsyncIterator[Watched]:
    """A page that shares nothing with others but the program, before it has gone anywhere."""
    context = await demo.browser.new_context(**options)
    try:
        watched = Watched(await context.new_page(), demo.address)
        context.on("request", lambda request: watched._note_address(request.url))
        watched.page.on("websocket", lambda socket: watched._note_address(socket.url))
        watched.page.on("pageerror", lambda error: watched.faults.append(str(error)))
        watched.page.on(
            "console", lambda message: watched.faults.append(message.text) if message.type == "error" else None
        )
        yield watched
    finally:
        await context.close()
