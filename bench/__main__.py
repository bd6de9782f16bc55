"""`python -m bench [--full] [NAME ...]`: all benchmarks, or the named ones; exit code 1 when a bound is missed.

`--full`: at their full size those that take long by it.
"""

import importlib
import sys

from bench.report import machine
from runtime.processor import avoid_slow_sorts

ALL = (
    *("start", "execution", "accept", "delivery", "ingestion", "asof", "projection", "boards", "http_boards"),
    *("settlement", "evening", "live", "leagues_live"),
)
SIZED = {"settlement"}


def main() -> int:
    full, names = "--full" in sys.argv, [name for name in sys.argv[1:] if name != "--full"] or ALL
    avoid_slow_sorts()
    print(machine())
    missed = 0
    for name in names:
        module = importlib.import_module(f"bench.{name}")
        print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}")
        for figure in module.measure(**({"full": True} if full and name in SIZED else {})):
            print(f"  {figure}", flush=True)
            missed += not figure.is_met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
