"""The command line: help is quick and complete, and wrong use is exit code 2."""

import subprocess
import sys

import pytest

from tests.support.palpite import REPOSITORY, run_palpite

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


def test_help_names_every_command() -> None:
    text = run_palpite("--help").stdout

    for name in ("up", "demo", "replay", "serve", "worker", "scheduler", "db", "members", "check", "schema"):
        assert f"│ {name} " in text


def test_wrong_use_is_exit_code_2_with_a_hint() -> None:
    done = run_palpite("up", "--prt", "1")

    assert done.returncode == 2
    assert "Did you mean --port?" in done.stdout + done.stderr
