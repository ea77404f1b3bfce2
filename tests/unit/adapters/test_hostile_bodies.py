"""The corpus of malformed answers is large, the same for the same seed, and catches a guess."""

from __future__ import annotations

import json

import pytest

from recompense.contracts.provider import Approved
from recompense.domain.failures import OutcomeUnknown
from tests.support.hostile_bodies import LEAST, hold_against, mutated

JSON = json.dumps({"id": "x_1", "amount": 1_000, "currency": "EUR", "nested": [{"a": "b"}]})
XML = """<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><Ntry>
<Amt Ccy="EUR">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd></Ntry></Document>"""
CSV = "reference,amount\r\npay_1,1000\r\n"


@pytest.mark.parametrize("good", [JSON, XML, CSV])
def test_corpus_is_large_seeded_and_never_the_good_body(good: str) -> None:
    bodies = list(mutated(good.encode(), 7))
    assert len(bodies) >= LEAST
    assert len({body.content for body in bodies}) == len(bodies)
    assert good.encode() not in {body.content for body in bodies}
    assert bodies == list(mutated(good.encode(), 7))


@pytest.mark.parametrize(("good", "field"), [(JSON, "amount"), (XML, "Amt")])
def test_critical_field_is_touched_in_many_ways(good: str, field: str) -> None:
    names = {body.name for body in mutated(good.encode(), 7) if body.touched == field}
    assert len(names) > 12
    assert any("missing" in name for name in names)


def test_reader_that_guesses_is_caught() -> None:
    def credulous(body: bytes) -> Approved:
        try:
            json.loads(body)["amount"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise OutcomeUnknown("unreadable") from error
        return Approved(reference="x_1")

    with pytest.raises(AssertionError, match="a guess: amount"):
        hold_against(credulous, JSON.encode(), critical={"amount"})


def test_reader_that_fails_by_a_failure_of_its_own_is_caught() -> None:
    with pytest.raises((ValueError, RecursionError)):
        hold_against(json.loads, JSON.encode(), critical=())
