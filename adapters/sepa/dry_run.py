"""What can be tried of the rail without an effect: the bank takes from `out` only, and nothing is
put there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from adapters.sepa import mailbox, pain001
from adapters.sepa.config import Party, SepaConfig
from recompense.domain.failures import OutcomeUnknown

_CONTENT = b"a check of this mailbox"


async def through(files: mailbox.Files, name: str) -> str:
    """Look into every directory, and take a file of this name through ours as a delivery would.

    Raises `OutcomeUnknown` for a mailbox that loses or changes it.
    """
    for directory in mailbox.DIRECTORIES:
        await files.entries(directory)
    await files.write(f"staging/{name}", _CONTENT)
    if not await files.claim(f"staging/{name}", f"claims/{name}"):
        raise OutcomeUnknown("a file cannot be claimed")
    if not await files.move(f"claims/{name}", f"archive/{name}"):
        raise OutcomeUnknown("a file cannot be moved")
    if await files.read(f"archive/{name}", len(_CONTENT)) != _CONTENT:
        raise OutcomeUnknown("a file is not read as it was written")
    await files.remove(f"archive/{name}")
    return "staging, claims, out, in and archive are there"


def file(destinations: Mapping[str, Party], config: SepaConfig, at: datetime) -> str:
    """Write one cent to each destination, in memory. Raises `InvariantBroken` for a file that its
    schema refuses.
    """
    transfers = tuple(
        pain001.Transfer(f"CHECK{place}", 1, payee)
        for place, payee in enumerate(destinations.values(), start=1)
    )
    content = pain001.written(pain001.Initiation("CHECK", at, transfers), config)
    return f"pain.{config.pain_version}, {len(transfers)} destinations, {len(content)} bytes"
