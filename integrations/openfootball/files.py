"""A folder of files `SEASON/COMPETITION.json`, such as a clone of football.json. Blocking: call it in a thread."""

import re
from pathlib import Path
from typing import NamedTuple

from domain.ingestion.errors import ProviderBadData, ProviderNotFound, ProviderUnavailable

LARGEST_FILE = 32 * 1024 * 1024

# No separator and no leading dot: no name of this kind can leave its folder.
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COMPANIONS = (".groups", ".standings", ".stadiums", ".teams", ".squads")


class FileStamp(NamedTuple):
    """Differs whenever the file was written."""

    modified_ns: int
    size: int


def shipped_seasons() -> Path:
    """The folder of seasons that come with the project."""
    return Path(__file__).parent / "seasons"


def season_path(folder: Path, competition: str, season: str) -> Path:
    """Where a season's matches are. Raises ProviderNotFound for names that can be no file of the folder."""
    if not _SAFE_NAME.fullmatch(season) or not is_competition(competition):
        raise ProviderNotFound(f"openfootball has no `{season}/{competition}`")
    return folder / season / f"{competition}.json"


def is_competition(name: str) -> bool:
    """Whether a file of this name (without `.json`) can hold matches; groups and team tables stand beside them."""
    return _SAFE_NAME.fullmatch(name) is not None and not name.endswith(_COMPANIONS)


def groups_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.groups.json")


def standings_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.standings.json")


def stamp_of(path: Path) -> FileStamp | None:
    """None when there is no such file. Raises ProviderUnavailable when the disk does not answer."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ProviderUnavailable(f"cannot read {path}: {error.strerror}") from error
    return FileStamp(found.st_mtime_ns, found.st_size)


def read_bytes(path: Path) -> bytes:
    """Raises ProviderNotFound, ProviderUnavailable, or ProviderBadData when the file is larger than any season is."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ProviderBadData(f"{path.name}: larger than {LARGEST_FILE // 2**20} MiB")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        folder = f"{path.parent.parent}, the folder of seasons (PALPITE_OPENFOOTBALL_DIR)"
        raise ProviderNotFound(f"no file {path.parent.name}/{path.name} in {folder}") from error
    except OSError as error:
        raise ProviderUnavailable(f"cannot read {path}: {error.strerror}") from error
