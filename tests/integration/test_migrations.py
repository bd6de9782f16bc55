"""Migrations: up, down, up again, two at once, and in step with the tables that the code declares."""

import asyncio

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from domain.all_tables import metadata
from runtime.database import PostgresDatabase
from runtime.database_url import parse_database_url
from runtime.errors import SetupError
from runtime.migrate import alembic_config, downgrade, upgrade
from runtime.revision import current_revision, head_revision, require_head

# Everything that a CREATE TABLE or CREATE INDEX of ours can say, as Postgres itself prints it.
_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid), a.attidentity::text
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
      AND c.relname <> 'alembic_version'
"""
_CONSTRAINTS = """
    SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND c.relname <> 'alembic_version'
      AND k.contype <> 't'
"""
_INDEXES = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND c.relname <> 'alembic_version'
"""
_EVERYTHING = """
    SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
      AND relname <> 'alembic_version_pkc'
    UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT typname::text FROM pg_type
      WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%alembic_version'
"""


async def _rows(url: str, query: str) -> set[tuple[object, ...]]:
    connection = await asyncpg.connect(**parse_database_url(url).raw_arguments())
    try:
        return {tuple(row) for row in await connection.fetch(query)}
    finally:
        await connection.close()


async def _create_from_tables(url: str) -> None:
    engine = create_async_engine(parse_database_url(url).url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


@pytest.mark.parametrize("query", [_COLUMNS, _CONSTRAINTS, _INDEXES], ids=["columns", "constraints", "indexes"])
async def test_the_migrations_make_exactly_the_tables_that_the_code_declares(
    database_url: str, empty_database_url: str, query: str
) -> None:
    await _create_from_tables(empty_database_url)

    migrated, declared = await _rows(database_url, query), await _rows(empty_database_url, query)

    assert declared
    assert migrated - declared == set()
    assert declared - migrated == set()


async def test_down_leaves_nothing_and_up_works_again(database_url: str) -> None:
    before = await _rows(database_url, _EVERYTHING)
    await downgrade(database_url, "base")
    assert await _rows(database_url, _EVERYTHING) == set()

    await upgrade(database_url)
    assert await _rows(database_url, _EVERYTHING) == before


async def test_each_revision_can_be_taken_back(database_url: str) -> None:
    revisions = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]
    for _ in revisions:
        await downgrade(database_url, "-1")
    assert await _rows(database_url, _EVERYTHING) == set()

    for _ in revisions:
        await upgrade(database_url, "+1")
    database = PostgresDatabase.create(database_url)
    assert await current_revision(database) == revisions[0]
    await database.close()


async def test_two_at_once_wait_for_each_other(empty_database_url: str) -> None:
    await asyncio.gather(*(upgrade(empty_database_url) for _ in range(3)))

    database = PostgresDatabase.create(empty_database_url)
    await require_head(database)
    await database.close()


async def test_a_database_that_is_behind_is_refused_with_the_command_that_cures_it(empty_database_url: str) -> None:
    database = PostgresDatabase.create(empty_database_url)
    assert await current_revision(database) is None
    with pytest.raises(SetupError, match=r"^The database is at revision none .* run `palpite db upgrade`"):
        await require_head(database)
    await database.close()


def test_the_newest_revision_is_found_without_alembic() -> None:
    assert head_revision() == ScriptDirectory.from_config(alembic_config()).get_current_head()
