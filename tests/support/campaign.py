"""How much the fault tests do: a short form with the other tests, all of it with `make campaign`. Seeds are printed."""

import os
import random
import sys

CAMPAIGN = "PALPITE_TEST_CAMPAIGN"
"""Set to a multiplier by `make campaign`. It is no setting: processes under test must not be given it."""
SEED = "PALPITE_TEST_SEED"
"""Set to a printed seed to repeat what failed."""


def scale() -> float:
    """The multiplier of the campaign; 1 is the short form."""
    return float(os.environ.get(CAMPAIGN, "1"))


def is_campaign() -> bool:
    return scale() > 1


def times(short: int, full: int) -> int:
    """How often to do something: `short` beside the other tests, `full` in a campaign of the usual size."""
    return short if not is_campaign() else full


def seeded(name: str) -> random.Random:
    """Random numbers whose seed is printed (and shown when the test fails)."""
    seed = os.environ.get(SEED) or str(random.SystemRandom().getrandbits(32))
    sys.stderr.write(f"{name}: {SEED}={seed}\n")
    return random.Random(f"{name}:{seed}")
