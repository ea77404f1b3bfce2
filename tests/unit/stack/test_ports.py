"""Ports: dealt out in order, refused by name."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from recompense.settings import Settings
from recompense.stack.errors import WrongUse
from recompense.stack.ports import PARTS, is_free, ports_from_base, refuse_taken_ports


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port: int = server.getsockname()[1]
        yield port


def test_a_base_gives_each_part_the_next_port_in_the_order_of_the_contract() -> None:
    assert ports_from_base(9100) == {
        "api_port": 9100,
        "sandbox_port": 9101,
        "codec_port": 9102,
        "postgres_port": 9103,
        "temporal_port": 9104,
        "temporal_ui_port": 9105,
    }


@pytest.mark.parametrize("base", [0, -1, 65_531, 70_000])
def test_a_base_without_room_for_all_is_refused(base: int) -> None:
    with pytest.raises(WrongUse, match="port-base"):
        ports_from_base(base)


def test_the_highest_base_with_room_is_taken() -> None:
    assert max(ports_from_base(65_530).values()) == 65_535


def test_a_taken_port_is_named_with_the_setting_that_moves_it(taken_port: int) -> None:
    settings = Settings(codec_port=taken_port)
    with pytest.raises(WrongUse, match="RECOMPENSE_CODEC_PORT") as caught:
        refuse_taken_ports(settings, ["codec_port"])
    assert str(taken_port) in str(caught.value)


def test_a_taken_port_of_a_part_that_is_not_started_does_not_matter(taken_port: int) -> None:
    refuse_taken_ports(Settings(postgres_port=taken_port), [])


def test_two_parts_on_one_port_are_refused() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(api_port=port, codec_port=port)
    with pytest.raises(WrongUse, match="share"):
        refuse_taken_ports(settings, ["api_port", "codec_port"])


def test_a_port_whose_server_has_just_closed_counts_as_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = server.getsockname()
        client = socket.create_connection(address)
        accepted, _ = server.accept()
        # The side that closes first keeps the port in TIME_WAIT.
        accepted.close()
        client.close()
    assert is_free(address[1])


def test_every_port_has_a_setting() -> None:
    assert set(PARTS) <= set(Settings.model_fields)
