"""Rows as plain objects, while a case is played."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlmodel import SQLModel


@contextmanager
def plain_rows() -> Iterator[None]:
    """Let an assignment to a row's column do that, and no more.

    A row of the simulation never belongs to a session: what SQLAlchemy notes of each change, to
    write it later, is read by nobody, and takes an eighth of a case's time.
    """
    observed = SQLModel.__setattr__
    SQLModel.__setattr__ = _assign  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        SQLModel.__setattr__ = observed  # type: ignore[method-assign]


def _assign(row: SQLModel, column: str, value: object) -> None:
    row.__dict__[column] = value
