"""XML from outside, read as a stream and hardened: UTF-8 only, no document type, no entities, no
network, bounded in size and depth.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator

from lxml import etree

from recompense.contracts.batches import BankFileRefused

MOST_BYTES = 64 * 1024 * 1024
_DEEPEST = 48
_PIECE_BYTES = 64 * 1024
_FORBIDDEN = (b"<!doctype", b"<!entity")
_MESSAGES = frozenset({"camt.053", "camt.054", "pain.002"})
_NAMESPACE = re.compile(
    r"urn:iso:std:iso:20022:tech:xsd:([a-z]{4}\.[0-9]{3})\.001\.(?:0[2-9]|1[0-4])", re.ASCII
)
_LONGEST_FORBIDDEN = max(map(len, _FORBIDDEN))


def ends(
    chunks: Iterable[bytes], *, most_bytes: int = MOST_BYTES
) -> Iterator[tuple[int, etree._Element]]:
    """Each element when it has ended, with its depth (the root's is 1).

    Whoever has read one may clear it. Raises `BankFileRefused` for what is no such document.
    """
    parser, depth = _parser(), 0
    try:
        for piece in _checked(chunks, most_bytes):
            parser.feed(piece)
            for event, element in _events(parser):
                if event == "start":
                    depth += 1
                    _check_depth(depth)
                    continue
                yield depth, element
                depth -= 1
        parser.close()
    except etree.XMLSyntaxError as error:
        raise BankFileRefused("file_malformed", "The file is no well-formed XML.") from error


def message_of(chunks: Iterable[bytes]) -> str:
    """Which message it is, by its namespace: `camt.053`. Raises `BankFileRefused`."""
    parser = _parser()
    try:
        for piece in _checked(chunks, MOST_BYTES):
            parser.feed(piece)
            for _event, element in _events(parser):
                found = _NAMESPACE.fullmatch(namespace_of(element))
                if found is None or name_of(element) != "Document" or found[1] not in _MESSAGES:
                    raise BankFileRefused("file_unknown", "The file is no message that we read.")
                return found[1]
    except etree.XMLSyntaxError as error:
        raise BankFileRefused("file_malformed", "The file is no well-formed XML.") from error
    raise BankFileRefused("file_malformed", "The file is empty.")


def _parser() -> etree.XMLPullParser:
    return etree.XMLPullParser(
        events=("start", "end"),
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _events(parser: etree.XMLPullParser) -> Iterator[tuple[str, etree._Element]]:
    for event, element in parser.read_events():
        if isinstance(element, etree._Element):
            yield event, element


def _checked(chunks: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """Small pieces, none of them with a word of a document type in it."""
    tail, length, decoder = b"", 0, getincrementaldecoder("utf-8")()
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE_BYTES):
            piece = chunk[start : start + _PIECE_BYTES]
            length += len(piece)
            if length > most_bytes:
                raise BankFileRefused("file_too_large", "The file is larger than any file.")
            window = (tail + piece).lower()
            if any(word in window for word in _FORBIDDEN):
                raise BankFileRefused("file_malformed", "The file has a document type.")
            tail = window[-_LONGEST_FORBIDDEN:]
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                raise BankFileRefused("file_encoding", "The file is not UTF-8.") from None
            yield piece


def _check_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise BankFileRefused("file_malformed", "The file nests deeper than any message.")


def name_of(element: etree._Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def namespace_of(element: etree._Element) -> str:
    """An element's namespace; empty where it has none."""
    return str(element.tag).rpartition("}")[0].removeprefix("{")


def below(element: etree._Element, *path: str) -> list[etree._Element]:
    """The elements at the end of a path of names below an element, in its namespace."""
    namespace = namespace_of(element)
    prefix = f"{{{namespace}}}" if namespace else ""
    return element.findall("/".join(prefix + name for name in path))


def only(element: etree._Element, *path: str) -> etree._Element | None:
    """The one element at a path; None where there is none. Raises `BankFileRefused` for several:
    which of them would count?
    """
    found = below(element, *path)
    if len(found) > 1:
        raise BankFileRefused("file_malformed", f"The file says {path[-1]} twice.")
    return next(iter(found), None)


def text_at(element: etree._Element, *path: str) -> str | None:
    """The text at a path, without the white space around it; None where it is missing or empty.

    Raises `BankFileRefused` where it is said several times.
    """
    return text_of(only(element, *path))


def text_of(element: etree._Element | None) -> str | None:
    """An element's text without the white space around it; None where there is none."""
    text = "" if element is None else (element.text or "").strip()
    return text or None
