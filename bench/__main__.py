"""`python -m bench [NAME ...]`: all benchmarks, or the named ones. Exit code 1 when a bound is missed."""

import importlib
import sys

from bench.report import machine

ALL = ("start", "execution", "accept", "delivery", "ingestion", "asof", "projection", "boards", "http_boards")


def main() -> int:
    names = sys.argv[1:] or ALL
    print(machine())
    missed = 0
    for name in names:
        module = importlib.import_module(f"bench.{name}")
        print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}")
        for figure in module.measure():
            print(f"  {figure}")
            missed += not figure.is_met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
