"""`palpite up`."""

import asyncio
import signal
import sys
from pathlib import Path

from runtime.assets import ensure as ensure_assets
from runtime.errors import SetupError
from runtime.installation import Installation
from runtime.output import merged_output, write_line
from runtime.settings import Settings, load_settings
from runtime.supervisor import Say

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(*, port: int | None = None, host: str | None = None, data: Path | None = None) -> None:
    """Run everything: embedded servers, migrations, API, worker and scheduler.

    It runs until Ctrl-C, which is exit code 0. DATABASE_URL and REDIS_URL make it use your own servers.

    Example: `palpite up --port 8001`

    Parameters
    ----------
    port
        The port of the API (PALPITE_PORT); 0 takes a free one.
    host
        The address of the API (PALPITE_HOST).
    data
        The data folder (PALPITE_DATA).
    """
    asyncio.run(_up(load_settings(port=port, host=host, data=data)))


async def _up(settings: Settings) -> None:
    say = merged_output()
    installation = Installation(settings, say)
    work = asyncio.create_task(_serve(installation, say))
    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return
    finally:
        await installation.stop()


async def _serve(installation: Installation, say: Say) -> None:
    settings = installation.settings
    try:
        await asyncio.to_thread(ensure_assets, settings.data, settings.assets)
    except SetupError as problem:  # the API serves without its pages
        say("up", str(problem))
    await installation.start()
    write_line(sys.stdout, f"ready {installation.address}")
    await installation.watch()
