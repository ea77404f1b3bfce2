"""Seals the few secrets that we have to know again, such as those that sign webhooks.

The keys are those of Temporal's payloads: the first seals, all of them open.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recompense.temporal import NONCE_BYTES, key_id


class Unopenable(ValueError):
    """What was sealed is not ours, was changed, or its key is not here."""


class Vault:
    """AES-256-GCM. What was sealed for one owner opens for no other."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one key is needed (RECOMPENSE_PAYLOAD_ENCRYPTION_KEYS)")
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self.current = key_id(keys[0])
        """The id of the key that seals, with which all that it has sealed begins."""

    def seal(self, secret: str, owner: str) -> str:
        """Seal a secret for an owner: `<key id>.<base64>`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, secret.encode(), owner.encode())
        return f"{self.current}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, owner: str) -> str:
        """The secret again. Raises `Unopenable`."""
        name, _, text = sealed.partition(".")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise Unopenable("the key that sealed this is not here")
        try:
            raw = base64.urlsafe_b64decode(text)
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Unopenable("this was sealed for another owner, or changed since") from error

    def sealed_now(self, sealed: str, owner: str) -> str:
        """The same secret, sealed by the key that seals now. Raises `Unopenable`."""
        return self.seal(self.open(sealed, owner), owner)
