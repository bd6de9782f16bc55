"""`palpite schema`."""

from runtime.errors import SetupError


def schema(*, check: bool = False) -> None:
    """Write the GraphQL schema to schema/schema.graphql, or check that file.

    Example: `palpite schema --check`

    Parameters
    ----------
    check
        Only compare; exit code 2 when the file is not what the code says.
    """
    from schema.build import SDL_FILE, build_schema, sdl

    text = sdl(build_schema())
    if not check:
        SDL_FILE.write_text(text, encoding="utf-8")
    elif not SDL_FILE.exists() or SDL_FILE.read_text(encoding="utf-8") != text:
        raise SetupError("schema/schema.graphql is not what the code says; run `palpite schema`.")
