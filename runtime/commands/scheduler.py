"""`palpite scheduler`."""

from runtime.process import run_process


def scheduler() -> None:
    """Run the scheduler process: what is due, and what was left lying."""
    run_process("scheduler", "runtime.scheduler:run")
