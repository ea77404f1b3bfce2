"""The SDK downloads its Temporal CLI: `... temporal_download FOLDER VERSION`.

The SDK only downloads as part of starting a server, so a server is started and stopped. It runs in
a process of its own because the download cannot be interrupted from Python.
"""

from __future__ import annotations

import asyncio
import sys

from temporalio.testing import WorkflowEnvironment


async def download(folder: str, version: str) -> None:
    """Leave the CLI in the folder. Raises `RuntimeError` when it cannot be had."""
    async with await WorkflowEnvironment.start_local(
        download_dest_dir=folder, dev_server_download_version=version
    ):
        pass


if __name__ == "__main__":
    asyncio.run(download(*sys.argv[1:]))
