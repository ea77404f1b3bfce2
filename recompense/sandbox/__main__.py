"""Start the sandbox: `python -m recompense.sandbox --port 8001 --data-file sandbox.sqlite3`."""

from __future__ import annotations

import sys

import uvicorn

from recompense.sandbox.app import create_app
from recompense.sandbox.options import parse_options
from recompense.sandbox.wire import SocketAwareProtocol


def main() -> None:
    """Serve until SIGTERM or SIGINT; held requests are cut after a second."""
    options = parse_options(sys.argv[1:])
    uvicorn.run(
        create_app(options),
        host=options.host,
        port=options.port,
        http=SocketAwareProtocol,
        loop="asyncio",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
        # A probe or a client that keeps its connection between two payments must not meet a closing
        # socket.
        timeout_keep_alive=75,
    )


main()
