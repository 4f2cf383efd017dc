"""Which addresses may be called: first by how they are written, then by where they lead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from trellis_outgoing.hosts import Hosts, IPAddress, is_name, is_number
from trellis_outgoing.outcome import TargetRefused

_NEEDS_TLS = "must begin with https://"

MAX_URL = 2000

# Visible ASCII, without the backslash, which some read as a slash, user, password and fragment.
_URL = re.compile(
    r"""(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{0,5}))?"""
    r"""(?P<path>[/?][!"$-\[\]-~]*)?""",
    re.IGNORECASE | re.ASCII,
)
# Below lie the ports of other protocols (mail, files, consoles).
_FIRST_FREE_PORT, _LAST_PORT = 1024, 65_535
_DEFAULT_PORTS = {"https": 443, "http": 80}

# The special-purpose registries of IANA (RFC 6890), multicast, and one cloud's metadata server that
# lies in public space. Written out: what `ipaddress.is_global` says differs between Pythons.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
            "2001::/23",  # Teredo and others that carry an IPv4 address
            "2001:db8::/32",
            "2002::/16",  # 6to4, which carries an IPv4 address
            "3fff::/20",
        ),
    )
)
# What is outside (loopback, unique local, link-local, multicast, IPv4-mapped, NAT64 …) is refused.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True)
class Target:
    """An address that is written properly. ``host`` is lower case, without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    """What the request line asks for: path and query."""

    @property
    def authority(self) -> str:
        """Host and port as header ``Host`` has them (RFC 9112, section 3.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def check_text(url: str, exceptions: Hosts) -> None:
    """Refuse what can be told without resolving the name. Raises TargetRefused."""
    target = parse(url)
    try:
        permitted(target, [str(ipaddress.ip_address(target.host))], exceptions)
    except ValueError:
        if target.scheme == "http" and not exceptions.may_hold(target.host):
            raise TargetRefused(_NEEDS_TLS) from None


def parse(url: str) -> Target:
    """Take an address apart, the one time that it is. Raises TargetRefused."""
    parts = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if parts is None:
        raise TargetRefused(
            f"must be https:// and a host, in at most {MAX_URL} characters of visible ASCII, "
            "without user, password and fragment"
        )
    scheme, path = parts["scheme"].lower(), parts["path"] or "/"
    port = int(parts["port"] or _DEFAULT_PORTS[scheme])
    if port > _LAST_PORT or (port < _FIRST_FREE_PORT and port not in _DEFAULT_PORTS.values()):
        raise TargetRefused(f"must not name port {port}")
    return Target(
        scheme, _host(parts["host"].lower()), port, f"/{path}" if path[0] == "?" else path
    )


def _host(host: str) -> str:
    if host.startswith("["):
        try:
            return str(IPv6Address(host[1:-1]))
        except ValueError:
            raise TargetRefused("names no valid host") from None
    host = host.removesuffix(".")
    if is_number(host):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise TargetRefused("must write a numeric host as four decimal numbers") from None
    if not is_name(host):
        raise TargetRefused("names no valid host")
    return host


def permitted(target: Target, addresses: Iterable[str], exceptions: Hosts) -> list[IPAddress]:
    """Those of the addresses behind a target's name that may be called, in the same order.

    Raises TargetRefused when there is none.
    """
    found = [ipaddress.ip_address(address) for address in addresses]
    excepted = [address for address in found if exceptions.hold(target.host, address)]
    if target.scheme == "http" and not excepted:
        raise TargetRefused(_NEEDS_TLS)
    allowed = [
        address
        for address in found
        if address in excepted or (target.scheme == "https" and is_public(address))
    ]
    if not allowed:
        raise TargetRefused("leads to no public address")
    return allowed


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the public network and to nobody in particular."""
    if isinstance(address, IPv6Address) and (
        address not in _GLOBAL_UNICAST or address.scope_id is not None
    ):
        return False
    return not any(address in network for network in _SPECIAL)
