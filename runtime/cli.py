"""Owns the command line: names and help of the commands; each command is loaded only when it is called."""

import sys
from importlib.metadata import version
from typing import NoReturn

from cyclopts import App

from runtime.errors import SetupError

# name, where it is, what `palpite --help` says about it
_COMMANDS = (
    ("up", "runtime.commands.up:up", "Run everything: embedded servers, migrations, API, worker and scheduler."),
    ("demo", "runtime.commands.demo:demo", "Run everything with demo members and a replayed season."),
    ("replay", "runtime.commands.replay:replay", "Replay a season from its file as if it started now."),
    ("serve", "runtime.commands.serve:serve", "Run the API process."),
    ("worker", "runtime.commands.worker:worker", "Run the worker process."),
    ("scheduler", "runtime.commands.scheduler:scheduler", "Run the scheduler process."),
    (
        "status",
        "runtime.commands.status:status",
        "Show queues, failures and live processes; exit code 1 when something needs attention.",
    ),
    ("check", "runtime.commands.check:check", "Check that the servers answer and are new enough; exit code 2 if not."),
    ("schema", "runtime.commands.schema:schema", "Write or check the committed GraphQL schema."),
    ("assets", "runtime.commands.assets:assets", "Fetch the pinned files of the web pages."),
    ("screenshots", "runtime.commands.screenshots:screenshots", "Retake the screenshots of the documentation."),
)
_DATABASE_COMMANDS = (
    ("upgrade", "runtime.commands.db:upgrade", "Bring the database to the newest revision."),
    ("status", "runtime.commands.db:status", "Show the revision of the database; exit code 1 when it is behind."),
    ("new-epoch", "runtime.commands.db:new_epoch", "Rewrite all boards and restart all streams, as after a restore."),
)
_MEMBER_COMMANDS = (("promote", "runtime.commands.members:promote", "Make a member a platform admin."),)
_EXECUTION_COMMANDS = (
    ("list", "runtime.commands.executions:list_", "List executions, latest first."),
    ("show", "runtime.commands.executions:show", "Show one execution with its steps."),
    ("cancel", "runtime.commands.executions:cancel", "Cancel a queued or running execution."),
    ("retry", "runtime.commands.executions:retry", "Run the work of a failed or cancelled execution again."),
)
_DEAD_LETTER_COMMANDS = (
    ("list", "runtime.commands.dead_letters:list_", "List open dead letters, latest first."),
    ("show", "runtime.commands.dead_letters:show", "Show one dead letter with its message and stack trace."),
    ("replay", "runtime.commands.dead_letters:replay", "Run the work of a dead letter again."),
    ("discard", "runtime.commands.dead_letters:discard", "Close a dead letter without running it again."),
)
_SCHEDULE_COMMANDS = (
    ("list", "runtime.commands.schedules:list_", "List schedules by name."),
    ("pause", "runtime.commands.schedules:pause", "Pause a schedule until it is resumed."),
    ("resume", "runtime.commands.schedules:resume", "Resume a paused schedule."),
    ("run", "runtime.commands.schedules:run", "Run a schedule's operation now."),
)
_SETTLEMENT_COMMANDS = (
    (
        "verify",
        "runtime.commands.settlement:verify",
        "Recompute everything that was settled and compare; exit code 1 when anything differs.",
    ),
)
_PROJECTION_COMMANDS = (
    (
        "verify",
        "runtime.commands.projection:verify",
        "Compare the boards in Valkey with the database; exit code 1 when anything differs.",
    ),
    ("rebuild", "runtime.commands.projection:rebuild", "Rewrite the boards in Valkey from the database."),
)
_GROUPS = (
    ("db", "Migrate the database, or begin a new epoch.", _DATABASE_COMMANDS),
    ("members", "Manage platform admins.", _MEMBER_COMMANDS),
    ("executions", "List, show, cancel and retry executions.", _EXECUTION_COMMANDS),
    ("dead-letters", "List, show, replay and discard jobs that failed for good.", _DEAD_LETTER_COMMANDS),
    ("schedules", "List, pause, resume and run schedules.", _SCHEDULE_COMMANDS),
    ("settlement", "Verify what was settled.", _SETTLEMENT_COMMANDS),
    ("projection", "Verify and rebuild the boards in Valkey.", _PROJECTION_COMMANDS),
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
