"""The payload codec: nothing readable goes out, nothing changed comes in, keys can be rotated."""

from __future__ import annotations

import os

import pytest
from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from recompense.temporal import EncryptingCodec, UndecodablePayload, data_converter, key_id

KEYS = [os.urandom(32), os.urandom(32)]
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"token":"tok_secret"}')


class Note(BaseModel):
    """A value such as workflows exchange."""

    text: str


async def encrypted(key: bytes) -> Payload:
    (payload,) = await EncryptingCodec([key]).encode([PLAIN])
    return payload


async def test_a_payload_comes_back_as_it_was() -> None:
    codec = EncryptingCodec(KEYS)
    assert await codec.decode(await codec.encode([PLAIN, PLAIN])) == [PLAIN, PLAIN]


async def test_an_encrypted_payload_shows_neither_content_nor_its_encoding() -> None:
    payload = await encrypted(KEYS[0])
    assert payload.metadata["encoding"] == b"binary/encrypted"
    assert payload.metadata["encryption-key-id"] == key_id(KEYS[0]).encode()
    assert b"tok_secret" not in payload.SerializeToString()
    assert b"json/plain" not in payload.SerializeToString()


async def test_the_same_payload_is_never_encrypted_the_same_way() -> None:
    assert (await encrypted(KEYS[0])).data != (await encrypted(KEYS[0])).data


async def test_what_an_old_key_encrypted_is_read_after_a_rotation() -> None:
    old, new = KEYS
    rotated = EncryptingCodec([new, old])
    assert await rotated.decode([await encrypted(old)]) == [PLAIN]
    (payload,) = await rotated.encode([PLAIN])
    assert payload.metadata["encryption-key-id"] == key_id(new).encode()


async def test_a_key_that_is_not_here_is_named() -> None:
    with pytest.raises(UndecodablePayload, match=key_id(KEYS[0])):
        await EncryptingCodec([KEYS[1]]).decode([await encrypted(KEYS[0])])


@pytest.mark.parametrize("position", [0, 12, -1])
async def test_a_changed_byte_is_found(position: int) -> None:
    payload = await encrypted(KEYS[0])
    data = bytearray(payload.data)
    data[position] ^= 1
    payload.data = bytes(data)
    with pytest.raises(UndecodablePayload):
        await EncryptingCodec(KEYS).decode([payload])


@pytest.mark.parametrize("length", [0, 5, 12, 20])
async def test_a_cut_payload_is_found(length: int) -> None:
    payload = await encrypted(KEYS[0])
    payload.data = payload.data[:length]
    with pytest.raises(UndecodablePayload):
        await EncryptingCodec(KEYS).decode([payload])


async def test_what_was_never_encrypted_passes() -> None:
    assert await EncryptingCodec(KEYS).decode([PLAIN]) == [PLAIN]


def test_no_key_is_refused_by_the_name_of_the_setting() -> None:
    with pytest.raises(ValueError, match="RECOMPENSE_PAYLOAD_ENCRYPTION_KEYS"):
        data_converter([])


async def test_pydantic_values_cross_encrypted() -> None:
    converter = data_converter(KEYS)
    payloads = await converter.encode([Note(text="tok_secret")])
    assert b"tok_secret" not in payloads[0].SerializeToString()
    assert await converter.decode(payloads, [Note]) == [Note(text="tok_secret")]


async def test_the_message_of_a_failure_is_encrypted_too() -> None:
    converter, failure = data_converter(KEYS), Failure()
    await converter.encode_failure(ApplicationError("declined for tok_secret"), failure)
    assert b"tok_secret" not in failure.SerializeToString()
    assert "tok_secret" in str(await converter.decode_failure(failure))
