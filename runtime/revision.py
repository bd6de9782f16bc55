"""Owns the question "is the database at the newest revision?" without loading alembic: processes ask it often."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

import migrations
from runtime.errors import SetupError

if TYPE_CHECKING:
    from domain.database import Database

_REVISION = re.compile(r"^(revision|down_revision)\b[^=\n]*=\s*(?:[\"'](\w+)[\"']|None)\s*$", re.MULTILINE)


def migrations_folder() -> Path:
    """Where the revisions are, in a checkout and in a wheel."""
    return Path(migrations.__path__[0])


def head_revision() -> str | None:
    """The newest revision that this program knows; None when there is none yet."""
    revisions, parents = set(), set()
    for path in (migrations_folder() / "versions").glob("*.py"):
        found = dict(_REVISION.findall(path.read_text(encoding="utf-8")))
        if found.get("revision"):
            revisions.add(found["revision"])
            parents.add(found.get("down_revision"))
    heads = revisions - parents
    if len(heads) > 1:
        raise SetupError(f"The migrations have {len(heads)} heads ({', '.join(sorted(heads))}); there must be one.")
    return heads.pop() if heads else None


async def current_revision(database: "Database") -> str | None:
    """The revision of a database; None when it is empty."""
    async with database.read() as connection:
        if not (await connection.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL"))).scalar_one():
            return None
        found: str | None = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
        return found


async def require_head(database: "Database") -> None:
    """Refuse to work on a database of another revision.

    Raises:
        SetupError: the database is behind or ahead, with the command that cures it.
    """
    current, head = await current_revision(database), head_revision()
    if current != head:
        raise SetupError(
            f"The database is at revision {current or 'none'} and this Palpite needs {head}: run `palpite db upgrade`."
        )
