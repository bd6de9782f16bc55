"""`palpite scheduler`."""

from runtime.process import run_process


def scheduler() -> None:
    """Run the scheduler process: the relay of the outbox, due schedules, recovery of lost work."""
    run_process("scheduler", "runtime.scheduler:run")
