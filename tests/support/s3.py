"""Two servers that speak S3. Neither is like Amazon's in all; together they are in what we use.

moto keeps to the semantics (conditional writes) and checks no signature; nanio checks signatures and overwrites.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import aioboto3

from runtime.embedded.process import die_with_parent, wait_until
from runtime.ports import free_port
from tests.support.servers import temporary_data

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "palpite-test", "AWS_SECRET_ACCESS_KEY": "palpite-test-secret"}
ENVIRONMENT = CREDENTIALS | {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null"}
"""What a client of theirs needs, and nothing of the machine's own."""


@contextmanager
def running_moto() -> Iterator[str]:
    """A server for a block; the answer is its address."""
    port = free_port("127.0.0.1")
    with _running("moto_server", ["-H", "127.0.0.1", "-p", str(port)], {}) as process:
        yield _ready(process, port)


@contextmanager
def running_nanio() -> Iterator[str]:
    """A server for a block; the answer is its address."""
    port = free_port("127.0.0.1")
    keys = {
        "NANIO_ACCESS_KEY": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "NANIO_SECRET_KEY": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }
    with temporary_data() as folder:
        arguments = ["serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder)]
        with _running("nanio", arguments, keys) as process:
            yield _ready(process, port)


async def make_bucket(endpoint: str, name: str) -> None:
    """Make an empty bucket."""
    session = aioboto3.Session()
    async with session.client("s3", endpoint_url=endpoint, region_name="us-east-1") as client:
        await client.create_bucket(Bucket=name)


@contextmanager
def _running(
    program: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    path = shutil.which(program, path=str(Path(sys.executable).parent))
    assert path is not None
    with subprocess.Popen(
        [path, *arguments],
        env={"PATH": os.defpath, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- only prctl between fork and exec
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _ready(process: "subprocess.Popen[bytes]", port: int) -> str:
    endpoint = f"http://127.0.0.1:{port}"
    assert wait_until(lambda: process.poll() is not None or _answers(endpoint), 60)
    assert process.poll() is None
    return endpoint


def _answers(endpoint: str) -> bool:
    try:
        with urlopen(endpoint, timeout=5):
            return True
    except URLError as problem:
        return hasattr(problem, "code")  # it refuses those without a signature
    except OSError:
        return False
