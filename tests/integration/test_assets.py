"""The web assets: fetched by npm, checked by hash, whole or not there, and fetched once."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runtime.assets import Package, ensure, install, pinned, place_of, stamp, unpack
from runtime.errors import SetupError
from tests.support.palpite import REPOSITORY, command, environment, run_palpite

SMALL = next(package for package in pinned("pages") if package.spec.startswith("htm@"))


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def expected_files() -> set[str]:
    return {target for package in pinned("pages") for target in package.files.values()} | {".ok"}


def test_all_files_of_the_pages_are_fetched_once(tmp_path: Path) -> None:
    place = ensure(tmp_path, tmp_path / "assets")
    assert files_below(place) == expected_files()
    assert sum(path.stat().st_size for path in place.rglob("*.js")) > 5_000_000
    first = (place / ".ok").stat().st_mtime_ns
    assert ensure(tmp_path, tmp_path / "assets") == place
    assert (place / ".ok").stat().st_mtime_ns == first
    assert {path.name for path in tmp_path.iterdir()} == {"assets", "assets.lock"}


def test_every_pin_is_exact_and_no_registry_is_named() -> None:
    packages = [*pinned("pages"), *pinned("browser")]
    assert all(package.spec.rsplit("@", 1)[1].count(".") == 2 for package in packages)
    assert all(package.integrity.startswith("sha512-") and len(package.integrity) == 95 for package in packages)
    assert "://" not in (REPOSITORY / "web" / "assets.json").read_text()


def test_another_data_folder_uses_the_shared_assets_unless_it_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    assert place_of("assets", elsewhere) == tmp_path / ".palpite" / "assets"
    install(elsewhere / "assets", "mark", lambda folder: (folder / "a.js").touch())
    assert place_of("assets", elsewhere) == elsewhere / "assets"
    assert place_of("assets", elsewhere, Path("chosen")) == tmp_path / "chosen"


def test_what_is_not_the_pinned_package_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    forged = Package(SMALL.spec, "sha512-AAAA", SMALL.files)
    with pytest.raises(SetupError, match=r"htm@3\.1\.1 is not the package that web/assets\.json pins"):
        install(tmp_path / "assets", "mark", lambda folder: unpack([forged], folder))
    assert {path.name for path in tmp_path.iterdir()} == {"assets.lock"}


def test_an_unknown_package_is_one_sentence(tmp_path: Path) -> None:
    unknown = Package(f"htm@{'9' * 6}.0.0", SMALL.integrity, SMALL.files)
    with pytest.raises(SetupError, match="The web assets could not be fetched by npm"):
        install(tmp_path / "assets", "mark", lambda folder: unpack([unknown], folder))


def test_new_pins_replace_old_files(tmp_path: Path) -> None:
    place = tmp_path / "assets"
    install(place, "old", lambda folder: (folder / "old.js").touch())
    install(place, stamp([SMALL]), lambda folder: unpack([SMALL], folder))
    assert files_below(place) == {*SMALL.files.values(), ".ok"}
    assert {path.name for path in tmp_path.iterdir()} == {"assets", "assets.lock"}


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(SetupError, match="holds something else"):
        install(tmp_path / "home", "mark", lambda folder: (folder / "a.js").touch())
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_a_killed_install_is_made_good_by_the_next_one(tmp_path: Path) -> None:
    place = tmp_path / "assets"
    settings = {"PALPITE_ASSETS": str(place)}
    process = subprocess.Popen(
        command("assets"), cwd=REPOSITORY, env=environment(settings), start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".assets-*/.downloads")):
        assert time.monotonic() < deadline
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not place.exists()
    done = run_palpite("assets", **settings)
    assert done.stdout == f"assets {place}\n"
    assert done.returncode == 0
    assert files_below(place) == expected_files()
    assert {path.name for path in tmp_path.iterdir()} == {"assets", "assets.lock"}
