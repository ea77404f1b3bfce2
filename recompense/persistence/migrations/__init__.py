"""Alembic, driven from code: no ini file, one address, given by the caller."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


def alembic_config(database_url: str) -> Config:
    """The configuration of this folder's migrations for one database."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the database up to `revision`, all of it in one transaction."""
    command.upgrade(alembic_config(database_url), revision)


def downgrade(database_url: str, revision: str) -> None:
    """Take the database back to `revision`; `base` is an empty one."""
    command.downgrade(alembic_config(database_url), revision)


def head_revision() -> str | None:
    """The revision that this code expects to find in the database."""
    return ScriptDirectory(str(Path(__file__).parent)).get_current_head()
