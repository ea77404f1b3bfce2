"""Where deliveries may go: the rules for a URL, and for the address that it leads to.

Receivers choose their URLs, and our network is not theirs to look into: no private, loopback or
link-local address, whatever form it is written in and whatever a name resolves to.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from urllib.parse import SplitResult, urlsplit

LONGEST_URL = 2048

# IANA's registries of special-purpose addresses (RFC 6890), and multicast. Python's own
# `is_global` has changed its mind between patch releases; what is let through must not.
_CLOSED_4 = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_OPEN_6 = IPv6Network("2000::/3")
_CLOSED_6 = tuple(
    IPv6Network(one)
    for one in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
"""How a host without IPv4 reaches it (RFC 6052): the last 32 bits are the address that counts."""

_LOCAL_NAMES = (".localhost", ".local", ".internal", ".home.arpa")


class TargetRefused(ValueError):
    """A delivery may not go there. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_url(url: str, *, allow_private: bool) -> None:
    """Make sure that a URL may be an endpoint's; what its name resolves to is checked later.

    Raises:
        TargetRefused: it is no URL that we deliver to.
    """
    if len(url) > LONGEST_URL or not url.isascii() or not _is_visible(url) or "\\" in url:
        raise TargetRefused("url_malformed", "is no URL of at most 2048 visible ASCII characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise TargetRefused("url_malformed", "cannot be read as a URL") from None
    _check_parts(parts, host, allow_private)
    if not allow_private and _is_local_name(host or ""):
        raise TargetRefused("url_not_public", "leads to a private or local address")


def _check_parts(parts: SplitResult, host: str | None, allow_private: bool) -> None:
    schemes = {"https", "http"} if allow_private else {"https"}
    if parts.scheme not in schemes or not host:
        raise TargetRefused("url_not_https", "has to be an https URL with a host")
    if "@" in parts.netloc:
        raise TargetRefused("url_with_credentials", "must not hold a user or a password")
    if parts.fragment:
        raise TargetRefused("url_malformed", "must not have a fragment")


def is_public(address: str) -> bool:
    """Whether an address, as a resolver returns it, may be connected to."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _CLOSED_4)
    return _is_public_6(found)


def _is_public_6(found: IPv6Address) -> bool:
    if found.scope_id is not None:
        return False
    if found.ipv4_mapped is not None:
        return is_public(str(found.ipv4_mapped))
    if found in _NAT64:
        return is_public(str(IPv4Address(int(found) & 0xFFFF_FFFF)))
    return found in _OPEN_6 and not any(found in network for network in _CLOSED_6)


def _is_local_name(host: str) -> bool:
    """Whether a host is local without asking a resolver: told early, and checked again later."""
    name = "." + host.rstrip(".").lower()
    if name.endswith(_LOCAL_NAMES):
        return True
    try:
        return not is_public(str(ip_address(host)))
    except ValueError:
        return False


def _is_visible(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
