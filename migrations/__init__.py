"""The history of the database: one alembic revision a file in `versions`; run by `runtime.migrate` only."""
