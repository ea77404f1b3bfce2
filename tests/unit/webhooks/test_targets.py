"""Which URLs and addresses a delivery may go to."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recompense.webhooks.targets import TargetRefused, check_url, is_public

PUBLIC = [
    "93.184.215.14",
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:82b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",
    "2001:0:53aa:64c:0:fbff:80ff:fffe",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
]
URLS_REFUSED = {
    "http://shop.example/hooks": "url_not_https",
    "ftp://shop.example/hooks": "url_not_https",
    "https:///hooks": "url_not_https",
    "https:shop.example": "url_not_https",
    "//shop.example/hooks": "url_not_https",
    "shop.example/hooks": "url_not_https",
    "": "url_not_https",
    "https://user@shop.example/": "url_with_credentials",
    "https://user:secret@shop.example/": "url_with_credentials",
    "https://:secret@shop.example/": "url_with_credentials",
    "https://@shop.example/": "url_with_credentials",
    "https://shop.example/#there": "url_malformed",
    "https://shop.example:99999/": "url_malformed",
    "https://shop.example:port/": "url_malformed",
    "https://[::1/": "url_malformed",
    "https://shop.example/a b": "url_malformed",
    "https://shop.example/\r\nhost: other": "url_malformed",
    "https://shop.example\\@10.0.0.1/": "url_malformed",
    "https://sh\N{LATIN SMALL LETTER O WITH DIAERESIS}p.example/": "url_malformed",
    "https://shop.example/" + "x" * 2048: "url_malformed",
    "https://127.0.0.1/": "url_not_public",
    "https://[::1]/": "url_not_public",
    "https://[::ffff:10.0.0.1]/": "url_not_public",
    "https://169.254.169.254/latest": "url_not_public",
    "https://localhost/": "url_not_public",
    "https://LOCALHOST./": "url_not_public",
    "https://api.localhost:8000/": "url_not_public",
    "https://metadata.google.internal/": "url_not_public",
}
DISGUISES = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "0x7f.1"]
"""Other ways to write 127.0.0.1 and 0.0.0.0 that resolvers understand."""


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_passes(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_address_does_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("written", DISGUISES)
def test_disguised_address_is_seen_through_by_what_it_resolves_to(written: str) -> None:
    found = {str(one[4][0]) for one in socket.getaddrinfo(written, 443, type=socket.SOCK_STREAM)}
    assert found
    assert not any(is_public(address) for address in found)


@given(st.ip_addresses(v=4))
def test_mapped_address_is_judged_as_the_one_it_means(address: object) -> None:
    assert (
        is_public(f"::ffff:{address}")
        == is_public(f"64:ff9b::{address}")
        == is_public(str(address))
    )


@pytest.mark.parametrize("url", URLS_REFUSED)
def test_url_that_we_do_not_deliver_to_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        check_url(url, allow_private=False)
    assert refused.value.code == URLS_REFUSED[url]


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hooks",
        "https://shop.example:8443/hooks?of=payments&n=1",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/hooks",
        "HTTPS://Shop.Example",
    ],
)
def test_url_of_a_shop_passes(url: str) -> None:
    check_url(url, allow_private=False)


def test_private_targets_pass_where_they_are_allowed_and_credentials_never() -> None:
    for url in ("http://127.0.0.1:9000/hooks", "https://localhost/", "http://[::1]:1/"):
        check_url(url, allow_private=True)
    with pytest.raises(TargetRefused):
        check_url("http://user:secret@127.0.0.1/", allow_private=True)
