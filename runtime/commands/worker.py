"""`palpite worker`."""

from runtime.process import run_process


def worker() -> None:
    """Run the worker process: executions, and the projector of boards.

    It needs DATABASE_URL and REDIS_URL. SIGTERM or Ctrl-C ends it; what it was doing is given to another worker.

    Example: `palpite worker`
    """
    run_process("worker", "runtime.worker:run")
