"""How every process of ours speaks to Temporal: one client, one data converter, encrypted payloads.

Ids and search attributes are not payloads and are never encrypted, so they hold opaque ids only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)
from temporalio.envconfig import ClientConfig, ClientConnectConfig

if TYPE_CHECKING:
    from recompense.settings import Settings

ENCRYPTED = b"binary/encrypted"
KEY_ID = "encryption-key-id"
NONCE_BYTES = 12


class UndecodablePayload(ValueError):
    """A payload was encrypted with a key that is not here, or was changed since."""


class EncryptingCodec(PayloadCodec):
    """AES-256-GCM over whole payloads. The first key encrypts, every key decrypts what is its own.

    A key is named by a digest of itself, so rotation needs no names: put the new key first, and
    drop the old one when the namespace's retention has passed.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError(
                "at least one payload encryption key is needed (RECOMPENSE_PAYLOAD_ENCRYPTION_KEYS)"
            )
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._current = key_id(keys[0])

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each payload, its metadata included."""
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what is encrypted and pass on what is not.

        Raises:
            UndecodablePayload: the key is not here, or the payload was tampered with.
        """
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce, name = os.urandom(NONCE_BYTES), self._current.encode()
        sealed = self._ciphers[self._current].encrypt(nonce, payload.SerializeToString(), name)
        return Payload(metadata={"encoding": ENCRYPTED, KEY_ID: name}, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCRYPTED:
            return payload
        name = payload.metadata.get(KEY_ID, b"")
        cipher = self._ciphers.get(name.decode(errors="replace"))
        if cipher is None:
            raise UndecodablePayload(f"no payload encryption key has the id {name!r}")
        try:
            plain = cipher.decrypt(payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:], name)
        except (InvalidTag, ValueError) as error:
            raise UndecodablePayload("a payload was changed after it was encrypted") from error
        return Payload.FromString(plain)


def key_id(key: bytes) -> str:
    """The public name of a key: it tells keys apart and gives nothing away of a random one."""
    return hashlib.sha256(b"recompense payload key" + key).hexdigest()[:16]


def data_converter(keys: Sequence[bytes]) -> DataConverter:
    """Pydantic values, encrypted; failures keep their message and stack encrypted too.

    Raises:
        ValueError: there is no key, or one is not of 32 bytes.
    """
    return DataConverter(
        payload_converter_class=PydanticPayloadConverter,
        payload_codec=EncryptingCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def client_config(settings: Settings) -> ClientConnectConfig:
    """Address, namespace, TLS, API key: of the embedded server, else Temporal's own configuration.

    The embedded server knows no TLS and no API key: nothing of a user's profile is taken for it.
    """
    if settings.embedded_temporal_address is not None and "TEMPORAL_ADDRESS" not in os.environ:
        return {"target_host": settings.embedded_temporal_address, "namespace": "default"}
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    config.setdefault("namespace", "default")
    return config


async def connect(settings: Settings, **options: Any) -> Client:  # noqa: ANN401 - passed on to Client.connect
    """A client of Temporal. Make one per process, after any fork.

    Raises:
        ValueError: no payload encryption key is set.
        RuntimeError: the server does not answer.
    """
    converter = data_converter(settings.payload_keys)
    return await Client.connect(**client_config(settings), data_converter=converter, **options)
