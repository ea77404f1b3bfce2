"""The public schemas of what we emit: nothing leaves that does not hold against them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from lxml import etree

from recompense.domain.failures import InvariantBroken


def require_valid(document: bytes, message: str) -> None:
    """Hold a document against the schema of its message (`pain.001.001.09`).

    Raises `InvariantBroken`: a file that its schema refuses must not leave.
    """
    try:
        _schema(message).assertValid(etree.fromstring(document))
    except etree.DocumentInvalid as error:
        raise InvariantBroken(f"the file is no {message}: {error}") from error


@cache
def _schema(message: str) -> etree.XMLSchema:
    text = files("sepaxml").joinpath("schemas", f"{message}.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(text))
