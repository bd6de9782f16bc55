"""`palpite screenshots`."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from runtime.errors import SetupError
from runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

_WIDE = (1280, 860)
_PHONE = (390, 844)
_PATIENCE = 240.0  # seconds
_MATCHES_FIRST = 12  # settled before the pictures are taken: a board that has been played on
_PLAYED = f"""
document.querySelector("progress")?.value >= {_MATCHES_FIRST}
&& document.querySelectorAll(".in-play .match").length > 4 && !!document.querySelector(".won")
"""
_AT_REST = "document.querySelector('tbody').getAnimations({ subtree: true }).every((one) => one.id !== 'flip')"


def screenshots(*, url: str | None = None, to: Path = Path("docs/images")) -> None:
    """Take the screenshots of the documentation.

    They are of the live board, the same on a phone in dark mode, and GraphiQL.

    Example: `palpite screenshots --to /tmp/pictures`

    Parameters
    ----------
    url
        The address of a running demo; without it one is brought up for the pictures alone.
    to
        The folder of the pictures.
    """
    settings = load_settings()
    to.mkdir(parents=True, exist_ok=True)
    if url:
        asyncio.run(_take(settings, url, to))
        return
    with TemporaryDirectory(prefix="palpite-") as data, _demo(Path(data)) as address:
        asyncio.run(_take(settings, address, to))


@contextmanager
def _demo(data: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "runtime.cli", "demo", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _address(process)
        finally:
            process.terminate()


def _address(process: "subprocess.Popen[str]") -> str:
    for line in process.stdout or ():
        if "Live board" in line:
            return line.split()[-1].removesuffix("/live")
    raise SetupError("The demo did not start: run `palpite demo` to see why.")


async def _take(settings: Settings, url: str, to: Path) -> None:
    from runtime.browser import open_browser  # of the development set: other commands must load without it

    async with open_browser(settings.data, settings.browser) as browser:
        await _live(await _page(browser, _WIDE, "light"), url, to / "live.png")
        await _live(await _page(browser, _PHONE, "dark"), url, to / "live-dark-phone.png")
        await _graphiql(await _page(browser, _WIDE, "light"), url, to / "graphiql.png")
    Console().print(f"pictures in {to}", highlight=False)


async def _page(browser: "Browser", size: tuple[int, int], scheme: Literal["dark", "light"]) -> "Page":
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, locale="en-GB", device_scale_factor=1.5
    )
    return await context.new_page()


async def _live(page: "Page", url: str, file: Path) -> None:
    from runtime.browser import until

    await page.goto(f"{url}/live")
    await until(page, _PLAYED, seconds=_PATIENCE)
    is_sharp = False
    while not is_sharp:  # a goal that came meanwhile has set rows in motion
        await until(page, _AT_REST, seconds=_PATIENCE)
        await page.screenshot(path=file)
        is_sharp = await page.evaluate(_AT_REST)


async def _graphiql(page: "Page", url: str, file: Path) -> None:
    await page.goto(f"{url}/graphiql")
    await page.get_by_role("button", name="LiveBoard").click()
    await page.locator(".graphiql-query-editor", has_text="query LiveBoard").wait_for()
    await page.locator(".graphiql-execute-button").click()
    await page.locator(".graphiql-response", has_text="settledMatches").wait_for()
    await page.screenshot(path=file)
