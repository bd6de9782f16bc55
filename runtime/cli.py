"""Owns the command line: names and help of the commands; each command is loaded only when it is called."""

import sys
from importlib.metadata import version
from typing import NoReturn

from cyclopts import App

from runtime.errors import SetupError

# name, where it is, what `palpite --help` says about it
_COMMANDS = (
    ("up", "runtime.commands.up:up", "Run everything: embedded servers, migrations, API, worker and scheduler."),
    ("demo", "runtime.commands.demo:demo", "Run everything with a real season that is played before your eyes."),
    ("replay", "runtime.commands.replay:replay", "Play a season from its file as if it started now."),
    ("serve", "runtime.commands.serve:serve", "Run the API process."),
    ("worker", "runtime.commands.worker:worker", "Run the worker process."),
    ("scheduler", "runtime.commands.scheduler:scheduler", "Run the scheduler process."),
    ("check", "runtime.commands.check:check", "Say whether the servers can be used; exit code 2 when not."),
    ("schema", "runtime.commands.schema:schema", "Write or check the committed GraphQL schema."),
    ("assets", "runtime.commands.assets:assets", "Fetch the pinned files of the web pages."),
    ("screenshots", "runtime.commands.screenshots:screenshots", "Take the pictures of the documentation anew."),
)
_DATABASE_COMMANDS = (
    ("upgrade", "runtime.commands.db:upgrade", "Bring the database to the newest revision."),
    ("status", "runtime.commands.db:status", "Say at which revision the database is; exit code 1 when it is behind."),
)
_MEMBER_COMMANDS = (("promote", "runtime.commands.members:promote", "Make a member an administrator of the platform."),)


def main() -> NoReturn:
    """The program `palpite`. What the user can put right is one line and exit code 2, never a traceback."""
    try:
        build_app()()
    except SetupError as problem:
        sys.stderr.write(f"palpite: {problem}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    sys.exit(0)


def build_app() -> App:
    """All commands, none of them loaded."""
    app = App(
        name="palpite",
        help="Palpite: guess football scores before kick-off, watch the leaderboard move.",
        version=lambda: version("palpite"),
    )
    database = App(name="db", help="Look after the database.")
    members = App(name="members", help="Look after members.")
    for target, commands in ((app, _COMMANDS), (database, _DATABASE_COMMANDS), (members, _MEMBER_COMMANDS)):
        for name, place, words in commands:
            target.command(place, name=name, help=words)
    app.command(database)
    app.command(members)
    return app


if __name__ == "__main__":
    main()
