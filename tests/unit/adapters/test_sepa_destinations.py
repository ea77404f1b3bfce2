"""Destinations of a file are seen once it changes; a file that cannot be read changes none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.sepa.config import SepaConfig
from adapters.sepa.destinations import Destinations

ANNA = {"name": "Anna", "iban": "FR1420041010050500013M02606"}
BERT = {"name": "Bert", "iban": "NL91ABNA0417164300"}


def written(path: Path, tokens: dict[str, Any] | str) -> Path:
    """Put a file in place whole, as a person should."""
    fresh = path.with_suffix(".new")
    fresh.write_text(tokens if isinstance(tokens, str) else json.dumps(tokens))
    os.replace(fresh, path)
    return path


def config(tmp_path: Path, **changes: Any) -> SepaConfig:
    ours = {"name": "Recompense GmbH", "iban": "DE89370400440532013000"}
    return SepaConfig.model_validate({"debtor": ours, "folder": str(tmp_path), **changes})


def test_destination_that_is_added_or_removed_is_seen_without_a_restart(tmp_path: Path) -> None:
    path = written(tmp_path / "tokens.json", {"tok_anna": ANNA})
    destinations = Destinations(config(tmp_path, bank_tokens_file=path))
    assert destinations.known().keys() == {"tok_anna"}
    written(path, {"tok_anna": ANNA, "tok_bert": BERT})
    assert destinations.known()["tok_bert"].iban == BERT["iban"]
    written(path, {"tok_bert": BERT})
    assert destinations.known().keys() == {"tok_bert"}


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"tok_anna": {"name": "Anna", "iban": "FR00"}}', None]
)
def test_file_that_cannot_be_read_leaves_the_destinations_as_they_were(
    tmp_path: Path, broken: str | None
) -> None:
    path = written(tmp_path / "tokens.json", {"tok_anna": ANNA})
    destinations = Destinations(config(tmp_path, bank_tokens_file=path))
    assert destinations.known().keys() == {"tok_anna"}
    if broken is None:
        path.unlink()
    else:
        written(path, broken)
    assert destinations.known().keys() == {"tok_anna"}
    written(path, {"tok_bert": BERT})
    assert destinations.known().keys() == {"tok_bert"}


def test_configured_destination_wins_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "tokens.json", {"tok_1": ANNA, "tok_2": ANNA})
    both = config(tmp_path, bank_tokens_file=path, bank_tokens={"tok_1": BERT})
    known = Destinations(both).known()
    assert (known["tok_1"].name, known["tok_2"].name) == ("Bert", "Anna")


@pytest.mark.parametrize("broken", ["{", '{"tok": {"name": "R", "iban": "XX00"}}', None])
def test_file_that_cannot_be_read_is_refused_at_start(tmp_path: Path, broken: str | None) -> None:
    path = tmp_path / "tokens.json"
    if broken is not None:
        written(path, broken)
    with pytest.raises(ValidationError):
        config(tmp_path, bank_tokens_file=path)
