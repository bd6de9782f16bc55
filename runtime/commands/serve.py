"""`palpite serve`."""

from runtime.ports import require_free_port
from runtime.process import run_process
from runtime.settings import load_settings


def serve(*, host: str | None = None, port: int | None = None) -> None:
    """Run the API process: GraphQL, pages, health and metrics.

    It needs DATABASE_URL and REDIS_URL, and ends with SIGTERM or Ctrl-C.

    Example: `palpite serve --host 0.0.0.0 --port 8000`

    Parameters
    ----------
    host
        The address to listen on (PALPITE_HOST).
    port
        The port to listen on (PALPITE_PORT).
    """
    settings = load_settings(host=host, port=port)
    require_free_port(settings.host, settings.port)
    run_process("api", "runtime.api:serve", settings)
