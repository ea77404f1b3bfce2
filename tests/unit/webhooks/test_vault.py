"""Sealed secrets open for their owner, with their key, and as they were sealed."""

from __future__ import annotations

import pytest

from recompense.vault import Unopenable, Vault

OLD, NEW = b"o" * 32, b"n" * 32


def test_secret_comes_back_and_is_not_in_what_is_stored() -> None:
    vault = Vault([NEW])
    sealed = vault.seal("whsec_abc", "whe_1")
    assert "whsec" not in sealed
    assert vault.open(sealed, "whe_1") == "whsec_abc"
    assert sealed != vault.seal("whsec_abc", "whe_1")


def test_another_owner_key_or_text_does_not_open() -> None:
    vault = Vault([NEW])
    sealed = vault.seal("whsec_abc", "whe_1")
    flipped = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for text, owner, keys in (
        (sealed, "whe_2", [NEW]),
        (sealed, "whe_1", [OLD]),
        (flipped, "whe_1", [NEW]),
        (sealed.partition(".")[0] + ".", "whe_1", [NEW]),
        ("", "whe_1", [NEW]),
    ):
        with pytest.raises(Unopenable):
            Vault(keys).open(text, owner)


def test_rotated_key_opens_what_the_old_one_sealed_and_seals_it_anew() -> None:
    sealed = Vault([OLD]).seal("whsec_abc", "whe_1")
    both = Vault([NEW, OLD])
    again = both.sealed_now(sealed, "whe_1")
    assert again.startswith(both.current + ".")
    assert Vault([NEW]).open(again, "whe_1") == "whsec_abc"


def test_vault_without_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="RECOMPENSE_PAYLOAD_ENCRYPTION_KEYS"):
        Vault([])
