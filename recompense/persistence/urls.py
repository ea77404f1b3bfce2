"""Database addresses: settings hold the plain form, SQLAlchemy wants the driver named."""

_DRIVER = "postgresql+psycopg://"


def with_driver(database_url: str) -> str:
    """The address for SQLAlchemy with psycopg 3, from a plain `postgresql://` one.

    An address that names the driver already is returned as it is.

    Raises:
        ValueError: the address is not one of PostgreSQL.
    """
    scheme, separator, rest = database_url.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ValueError("a database address starts with postgresql://")
    return _DRIVER + rest
