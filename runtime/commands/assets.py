"""`palpite assets`."""

from pathlib import Path

from rich.console import Console

from runtime.assets import ensure
from runtime.settings import load_settings


def assets(*, data: Path | None = None) -> None:
    """Fetch the pinned files of the web pages, unless they are there.

    `palpite up` and `palpite demo` do it by themselves; a server started with `palpite serve` needs it once.

    Example: `palpite assets`

    Parameters
    ----------
    data
        The data folder (PALPITE_DATA). The files are kept in PALPITE_ASSETS, else in its folder `assets` if they are
        there already, else in `.palpite/assets` of the working folder, which all data folders share.
    """
    settings = load_settings(data=data)
    Console().print(f"assets {ensure(settings.data, settings.assets)}", soft_wrap=True, highlight=False)
