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
    (
        "status",
        "runtime.commands.status:status",
        "Say what waits, what failed and who works; exit code 1 when not all is well.",
    ),
    ("check", "runtime.commands.check:check", "Say whether the servers can be used; exit code 2 when not."),
    ("schema", "runtime.commands.schema:schema", "Write or check the committed GraphQL schema."),
    ("assets", "runtime.commands.assets:assets", "Fetch the pinned files of the web pages."),
    ("screenshots", "runtime.commands.screenshots:screenshots", "Take the pictures of the documentation anew."),
)
_DATABASE_COMMANDS = (
    ("upgrade", "runtime.commands.db:upgrade", "Bring the database to the newest revision."),
    ("status", "runtime.commands.db:status", "Say at which revision the database is; exit code 1 when it is behind."),
    ("new-epoch", "runtime.commands.db:new_epoch", "Have boards and streams begin anew, as after a restore."),
)
_MEMBER_COMMANDS = (("promote", "runtime.commands.members:promote", "Make a member an administrator of the platform."),)
_EXECUTION_COMMANDS = (
    ("list", "runtime.commands.executions:list_", "List executions, latest first."),
    ("show", "runtime.commands.executions:show", "Show one execution with its steps."),
    ("cancel", "runtime.commands.executions:cancel", "Cancel an execution that is queued or runs."),
    ("retry", "runtime.commands.executions:retry", "Run the work of a failed or cancelled execution again."),
)
_DEAD_LETTER_COMMANDS = (
    ("list", "runtime.commands.dead_letters:list_", "List open dead letters, latest first."),
    ("show", "runtime.commands.dead_letters:show", "Show one dead letter: its message, and where it failed."),
    ("replay", "runtime.commands.dead_letters:replay", "Run the work of a dead letter again."),
    ("discard", "runtime.commands.dead_letters:discard", "Close a dead letter without running it again."),
)
_SCHEDULE_COMMANDS = (
    ("list", "runtime.commands.schedules:list_", "List schedules by name."),
    ("pause", "runtime.commands.schedules:pause", "Have a schedule start nothing until it is resumed."),
    ("resume", "runtime.commands.schedules:resume", "Have a paused schedule run again."),
    ("run", "runtime.commands.schedules:run", "Run a schedule's operation now."),
)
_SETTLEMENT_COMMANDS = (
    (
        "verify",
        "runtime.commands.settlement:verify",
        "Work out everything that was settled a second way; exit code 1 when anything differs.",
    ),
)
_PROJECTION_COMMANDS = (
    (
        "verify",
        "runtime.commands.projection:verify",
        "Compare what Valkey holds of boards with the database; exit code 1 when anything differs.",
    ),
    ("rebuild", "runtime.commands.projection:rebuild", "Write boards into Valkey from the database."),
)
_GROUPS = (
    ("db", "Look after the database.", _DATABASE_COMMANDS),
    ("members", "Look after members.", _MEMBER_COMMANDS),
    ("executions", "Look after executions.", _EXECUTION_COMMANDS),
    ("dead-letters", "Look after jobs that failed for good.", _DEAD_LETTER_COMMANDS),
    ("schedules", "Look after schedules.", _SCHEDULE_COMMANDS),
    ("settlement", "Prove what was settled.", _SETTLEMENT_COMMANDS),
    ("projection", "Look after the boards in Valkey.", _PROJECTION_COMMANDS),
)


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
    for name, place, words in _COMMANDS:
        app.command(place, name=name, help=words)
    for group, words, commands in _GROUPS:
        part = App(name=group, help=words)
        for name, place, help_ in commands:
            part.command(place, name=name, help=help_)
        app.command(part)
    return app


if __name__ == "__main__":
    main()
