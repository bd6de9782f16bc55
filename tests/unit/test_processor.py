import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.processor import avoid_slow_sorts

ZEN_4 = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nflags\t\t: fpu sse avx2 avx512f avx512dq\n\n"
ZEN_5 = ZEN_4.replace("25", "26")
INTEL = ZEN_4.replace("AuthenticAMD", "GenuineIntel").replace("25", "6")
ZEN_3 = ZEN_4.replace(" avx512f avx512dq", "")
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd\n\n"
VARIABLE = "NPY_DISABLE_CPU_FEATURES"


@pytest.mark.parametrize(
    ("text", "is_slow"),
    [(ZEN_4, True), (ZEN_4 + INTEL, True), (ZEN_5, False), (INTEL + ZEN_4, False), (ZEN_3, False), (ARM, False)],
)
def test_numpy_is_kept_from_slow_sorts_on_one_family_of_processors(
    text: str, *, is_slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {})
    processors = tmp_path / "cpuinfo"
    processors.write_text(text)
    avoid_slow_sorts(processors)
    assert (VARIABLE in os.environ) is is_slow


def test_what_a_user_has_set_stays_and_other_systems_have_no_such_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processors = tmp_path / "cpuinfo"
    monkeypatch.setattr(os, "environ", {})
    avoid_slow_sorts(processors)
    assert not os.environ
    processors.write_text(ZEN_4)
    os.environ[VARIABLE] = ""
    avoid_slow_sorts(processors)
    assert not os.environ[VARIABLE]


def test_numpy_takes_the_words_and_leaves_out_what_they_name() -> None:
    program = """
from runtime.processor import avoid_slow_sorts
avoid_slow_sorts()
import os, numpy
features = numpy.show_config("dicts")["SIMD Extensions"]
asked = os.environ.get("NPY_DISABLE_CPU_FEATURES", "").split()
assert not set(asked) & set(features["found"]), features
"""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    subprocess.run([sys.executable, "-W", "error", "-c", program], env=environment, check=True)


def test_commands_load_numpy_after_that() -> None:
    program = "import runtime.cli, sys; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
