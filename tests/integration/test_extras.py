"""A setting that asks for libraries which were not installed: one line, exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.palpite import REPOSITORY, environment

# As if the library were not there.
PROGRAM = """
import sys
sys.modules[sys.argv.pop(1)] = None
from runtime.cli import main
main()
"""


S3 = ("aioboto3", "PALPITE_OBJECT_STORE", "s3://bucket", "s3")
NATS = ("taskiq_nats", "PALPITE_BROKER_URL", "nats://localhost", "nats")


@pytest.mark.parametrize(
    ("process", "library", "variable", "value", "extra"),
    [("worker", *S3), ("scheduler", *S3), ("serve", *S3), ("worker", *NATS), ("scheduler", *NATS)],
)
def test_a_missing_extra_is_one_line(
    process: str,
    library: str,
    variable: str,
    value: str,
    extra: str,
    database_url: str,
    valkey_url: str,
    tmp_path: Path,
) -> None:
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "PALPITE_DATA": str(tmp_path),
        "PALPITE_PORT": "0",
        variable: value,
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, library, process],
        cwd=REPOSITORY,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.stderr == (
        f"palpite: {variable} needs the Python library {library}, which is not installed: "
        f"install palpite[{extra}] in place of palpite.\n"
    )
    assert done.returncode == 2
    assert "_ready" not in done.stdout
