"""The command line: help is quick and complete, and wrong use is exit code 2."""

import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclopts import App

from runtime.cli import build_app
from tests.support.forked import run_forked
from tests.support.palpite import REPOSITORY, run_palpite


def commands_of(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Callable[..., object]]]:
    for name in app:
        if name.startswith("-"):
            continue
        if (function := app[name].default_command) is None:
            yield from commands_of(app[name], (*path, name))
        else:
            yield (*path, name), function


COMMANDS = dict(commands_of(build_app()))

_HEAVY = ("sqlalchemy", "strawberry", "taskiq", "alembic", "asyncpg", "redis", "pydantic", "numpy", "starlette")


@pytest.mark.parametrize("arguments", [["--help"], ["db", "--help"], ["--version"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import sys; from runtime.cli import build_app\n"
        "try: build_app()(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print('loaded:', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.rsplit("loaded:", 1)[1].split()

    assert [name for name in _HEAVY if name in loaded] == []
    assert "cyclopts" in loaded


def test_the_supervisor_loads_no_library_of_its_children() -> None:
    program = "import sys; import runtime.commands.up\nprint(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    heavy = set(_HEAVY) - {"pydantic"}  # the settings
    assert heavy & set(done.stdout.split()) == set()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_page_explains_each_option_and_its_example_is_right(command: tuple[str, ...]) -> None:
    page = inspect.getdoc(COMMANDS[command]) or ""
    (example,) = re.findall(r"^Example: `palpite (.+)`$", page, re.MULTILINE)
    arguments = shlex.split(example.partition(" || ")[0])
    function, _, _ = build_app().parse_args(arguments, exit_on_error=False, print_error=False)

    assert function is COMMANDS[command]
    assert re.findall(r"^(\w+)\n    \S", page, re.MULTILINE) == list(inspect.signature(function).parameters)


def test_a_page_names_exit_codes_and_what_its_docstring_says() -> None:
    page = run_palpite("projection", "verify", "--help").stdout

    assert "Compare the boards in Valkey" in page
    assert "1: they are not." in page
    assert "--tournament" in page
    assert "Exit codes: 0 done; 2 wrong use" in page


def test_help_lists_every_command_with_what_it_does() -> None:
    lists = {group: run_palpite(*group, "--help").stdout for group in {command[:-1] for command in COMMANDS}}

    for *group, name in COMMANDS:
        assert re.search(rf"^│ {name} +\w", lists[tuple(group)], re.MULTILINE)


def test_an_unknown_command_is_said_to_be_so_without_the_development_set() -> None:
    program = "import sys; sys.modules['brotli'] = None; from runtime.cli import main; main()"
    command = [sys.executable, "-c", program, "nope"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert 'Unknown command "nope"' in done.stdout + done.stderr


@pytest.mark.parametrize(
    "option", [*(f"--starts-in={value}" for value in ("nan", "inf", "1e15", "-1")), "--speed=1e-9", "--speed=nan"]
)
async def test_a_replay_that_no_clock_can_play_is_refused(tmp_path: Path, option: str) -> None:
    done = await run_forked("replay", "2024-25/en.1", option, PALPITE_DATA=str(tmp_path))

    assert done.returncode == 2
    assert option.partition("=")[0] in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_wrong_use_is_exit_code_2_with_a_hint() -> None:
    done = run_palpite("up", "--prt", "1")

    assert done.returncode == 2
    assert "Did you mean --port?" in done.stdout + done.stderr
