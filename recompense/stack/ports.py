"""Which port each part of the stack takes, and whether it can."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping

from recompense.settings import LOOPBACK, Settings
from recompense.stack.errors import WrongUse

PARTS: Mapping[str, str] = {
    "api_port": "API",
    "sandbox_port": "sandbox provider",
    "codec_port": "codec server",
    "postgres_port": "PostgreSQL",
    "temporal_port": "Temporal",
    "temporal_ui_port": "Temporal UI",
}
"""The settings that hold ports, in the order in which `--port-base` deals them out."""


def ports_from_base(base: int) -> dict[str, int]:
    """One port for each part, from `base` upwards.

    Raises:
        WrongUse: the ports would leave the range of 1 to 65535.
    """
    if not 1 <= base <= 65_535 - len(PARTS) + 1:
        raise WrongUse(f"--port-base {base} leaves no room for {len(PARTS)} ports")
    return {name: base + offset for offset, name in enumerate(PARTS)}


def refuse_taken_ports(settings: Settings, wanted: Collection[str]) -> None:
    """Check that the ports in the named settings are different and free.

    Raises:
        WrongUse: one is taken; the message names the setting that moves it.
    """
    owner: dict[int, str] = {}
    for name in wanted:
        port = getattr(settings, name)
        setting = f"RECOMPENSE_{name.upper()}"
        if port in owner:
            raise WrongUse(f"{owner[port]} and {PARTS[name]} cannot share port {port}: {setting}")
        owner[port] = PARTS[name]
        if not is_free(port):
            raise WrongUse(
                f"port {port} of the {PARTS[name]} is taken: "
                f"set {setting} to another one, or move all parts with --port-base"
            )


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
