"""The database tier: real PostgreSQL, a database of its own for each test."""

from tests.support.database import database_url, engine, postgres_server

__all__ = ["database_url", "engine", "postgres_server"]
