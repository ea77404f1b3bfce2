"""Hostile variants of an XML document: entities, other namespaces, missing and doubled parts, and
texts that are no amount, no date and no identity.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

_TEXTS = (
    ("empty", ""),
    ("blank", "  "),
    ("text", "something else"),
    ("negative", "-1"),
    ("fraction", "0.00001"),
    ("comma", "10,00"),
    ("exponent", "1e3"),
    ("NaN", "NaN"),
    ("infinity", "INF"),
    ("huge", "9" * 400),
    ("hexadecimal", "0x10"),
    ("other digits", "\u0661\u0660\u0660\u0660"),
    ("long", "x" * 100_000),
)
_ENTITIES = (
    ("outer entity", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'),
    ("outer schema", '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'),
    (
        "growing entity",
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
        '<!ENTITY e "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>',
    ),
)


def xml_mutations(good: bytes) -> Iterator[tuple[str, bytes, str | None]]:
    """What was done, the document, and the tag that was touched."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    root = etree.fromstring(good, parser)
    for number, node in enumerate(root.iter()):
        if isinstance(node.tag, str):
            yield from _of_element(root, number, etree.QName(node).localname)
    yield from _of_document(root)


def _of_element(
    root: etree._Element, number: int, tag: str
) -> Iterator[tuple[str, bytes, str | None]]:
    node = _copy(root, number)
    for name in map(str, node.attrib):
        for what, value in (("other", "XXX"), ("empty", ""), ("long", "E" * 1_000)):
            changed = _copy(root, number)
            changed.set(name, value)
            yield f"{tag}@{name}: {what}", _dumped(changed), tag
        changed = _copy(root, number)
        del changed.attrib[name]
        yield f"{tag}@{name}: missing", _dumped(changed), tag
    if len(node) == 0:
        for what, text in _TEXTS:
            if text != (node.text or ""):
                changed = _copy(root, number)
                changed.text = text
                yield f"{tag}: {what}", _dumped(changed), tag
    if number == 0:
        return
    for what in ("missing", "doubled", "elsewhere"):
        changed = _copy(root, number)
        parent = changed.getparent()
        document = changed.getroottree()
        if parent is None:
            continue
        if what == "missing":
            parent.remove(changed)
        elif what == "doubled":
            parent.insert(parent.index(changed), _detached(changed))
        else:
            changed.tag = "{urn:elsewhere}" + tag
        yield f"{tag}: {what}", etree.tostring(document), tag


def _of_document(root: etree._Element) -> Iterator[tuple[str, bytes, str | None]]:
    text = etree.tostring(root, encoding="unicode")
    for name, doctype in _ENTITIES:
        used = text.replace("</", "&e;</", 1) if "entity" in name else text
        yield name, (doctype + used).encode(), None
    for encoding in ("utf-16", "utf-7", "nonsense", "ebcdic-cp-us"):
        declared = f'<?xml version="1.0" encoding="{encoding}"?>'
        yield f"declared {encoding}", (declared + text).encode(), None
    yield "version 1.1", ('<?xml version="1.1"?>' + text).encode(), None
    yield "other namespace", text.replace("urn:", "urn:x-", 1).encode(), None
    yield "comment inside", text.replace("</", "<!-- x --></", 1).encode(), None
    yield "instruction inside", text.replace("</", "<?x y?></", 1).encode(), None


def _copy(root: etree._Element, number: int) -> etree._Element:
    """The element of this number in a copy of its document."""
    document = etree.fromstring(etree.tostring(root))
    return next(node for at, node in enumerate(document.iter()) if at == number)


def _detached(node: etree._Element) -> etree._Element:
    return etree.fromstring(etree.tostring(node, with_tail=False))


def _dumped(node: etree._Element) -> bytes:
    return etree.tostring(node.getroottree())
