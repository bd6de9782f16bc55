"""Keeps numpy from instructions that the processor has and is slow at."""

import os
from itertools import takewhile
from pathlib import Path

_VARIABLE = "NPY_DISABLE_CPU_FEATURES"
_AVX_512 = "X86_V4 AVX512_ICL"
_ZEN_4 = "25"
"""A family of AMD's; those of it without AVX-512 are of the generation before."""


def avoid_slow_sorts(processors: Path = Path("/proc/cpuinfo")) -> None:
    """Call it before numpy is loaded; processes that are started from here inherit it. What a user has set stays.

    numpy sorts with AVX-512 wherever there is any. A step of that, to write some numbers of a vector to memory, is
    microcode on Zen 4: a million numbers take 54 ms, with AVX2 12 (https://github.com/numpy/x86-simd-sort/issues/6).
    """
    if _VARIABLE in os.environ or not processors.is_file():
        return
    with processors.open() as lines:
        first = dict(line.strip().partition(":")[::2] for line in takewhile(str.strip, lines))
    found = {name.strip(): value.strip() for name, value in first.items()}
    is_zen = (found.get("vendor_id"), found.get("cpu family")) == ("AuthenticAMD", _ZEN_4)
    if is_zen and "avx512f" in found.get("flags", "").split():
        os.environ[_VARIABLE] = _AVX_512
