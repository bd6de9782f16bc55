"""Owns the command line: names and help of the commands; each command is loaded only when it is called."""

import ast
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from cyclopts import App, Parameter

from runtime.errors import SetupError
from runtime.processor import avoid_slow_sorts

_COMMANDS = (
    "up",
    "demo",
    "replay",
    "serve",
    "worker",
    "scheduler",
    "status",
    "check",
    "schema",
    "assets",
    "screenshots",
)
"""Each is the function of its name in the module of its name."""
_GROUPS = (
    ("db", "Migrate the database, or begin a new epoch.", ("upgrade", "status", "new-epoch")),
    ("members", "Manage platform admins.", ("promote",)),
    ("executions", "List, show, cancel and retry executions.", ("list", "show", "cancel", "retry")),
    ("dead-letters", "List, show, replay and discard failed work.", ("list", "show", "replay", "discard")),
    ("schedules", "List, pause, resume and run schedules.", ("list", "pause", "resume", "run")),
    ("settlement", "Verify what was settled.", ("verify",)),
    ("projection", "Verify and rebuild the boards in Valkey.", ("verify", "rebuild")),
)
"""name, what `palpite --help` says about it, the functions of its module"""
_EXIT_CODES = """
Exit codes: 0 done; 2 wrong use, or something to put right, which one line names; 130 ended by Ctrl-C. A command that
has others says so on its own page: `palpite COMMAND --help`.
"""
_FOLDER = Path(__file__).parent / "commands"


def main() -> NoReturn:
    """The program `palpite`. What the user can put right is one line and exit code 2, never a traceback."""
    avoid_slow_sorts()
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
        help_epilogue=_EXIT_CODES,
        version=lambda: version("palpite"),
        default_parameter=Parameter(negative=(), show_default=lambda value: value or None),
    )
    for name in _COMMANDS:
        _add(app, name, module=name)
    for group, words, commands in _GROUPS:
        part = App(name=group, help=words)
        for name in commands:
            _add(part, name, module=group.replace("-", "_"))
        app.command(part)
    return app


def _add(app: App, name: str, *, module: str) -> None:
    function = _functions(module)[name.replace("-", "_")]
    app.command(f"runtime.commands.{module}:{function.name}", name=name, help=ast.get_docstring(function))


@cache
def _functions(module: str) -> dict[str, ast.FunctionDef]:
    """By name; their docstrings are the pages of commands, and are read without loading what the functions need."""
    tree = ast.parse((_FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    return {node.name.strip("_"): node for node in tree.body if isinstance(node, ast.FunctionDef)}


if __name__ == "__main__":
    main()
