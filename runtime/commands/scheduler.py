"""`palpite scheduler`."""

from runtime.process import run_process


def scheduler() -> None:
    """Run the scheduler process: the relay of the outbox, due schedules, recovery of lost work.

    It needs DATABASE_URL and REDIS_URL, and ends with SIGTERM or Ctrl-C.

    Example: `palpite scheduler`
    """
    run_process("scheduler", "runtime.scheduler:run")
