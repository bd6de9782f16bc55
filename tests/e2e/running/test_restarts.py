"""`palpite up` while it runs, one installation for all that is tried: what dies is back, the folder is not shared."""

import time

import psutil
import pytest

from tests.support.palpite import assert_one_line, get_json, run_palpite
from tests.support.up import Up

pytestmark = pytest.mark.timeout(180)


def test_a_second_one_on_the_same_folder_is_refused(up: Up) -> None:
    assert_one_line(
        run_palpite("up", "--port", "0", "--data", str(up.data)),
        f"palpite: Another Palpite (process {up.palpite.process.pid}) uses the data folder {up.data}: stop it, or "
        "choose another folder with --data or PALPITE_DATA.",
    )
    assert run_palpite("db", "status", PALPITE_DATA=str(up.data)).returncode == 0  # a command may share its servers
    assert up.palpite.process.poll() is None


@pytest.mark.parametrize("name", ["serve", "worker", "scheduler"])
def test_a_process_that_dies_is_back_within_ten_seconds(up: Up, name: str) -> None:
    first = up.child(name)
    first.kill()
    up.palpite.wait_for_line(lambda line: f"{name} ended (SIGKILL); starting it again" in line, seconds=10)

    deadline = time.monotonic() + max(10, 2 * up.seconds)  # the latter on a machine that is busy
    while not up.is_back(name, first.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_dies_is_back(up: Up) -> None:
    psutil.Process(int((up.data / "postgres" / "postmaster.pid").read_text().split("\n")[0])).kill()
    up.palpite.wait_for_line(lambda line: "PostgreSQL had ended and was started again" in line, seconds=20)

    deadline = time.monotonic() + max(15, 2 * up.seconds)
    while get_json(f"{up.address}/readyz")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
