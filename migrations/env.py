"""What alembic runs for each command: our tables, on the connection that `runtime.migrate` hands over."""

from alembic import context

from domain.all_tables import metadata


def run() -> None:
    """Apply the revisions on the given connection, each in a transaction of its own."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
