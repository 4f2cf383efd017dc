"""How hosts are written: names, addresses, networks, and what an operator lists of them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True)
class Hosts:
    """Hosts and networks, as an operator lists them."""

    names: frozenset[str]
    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def of(cls, entries: Iterable[str]) -> Hosts:
        """Entries are host names, addresses or networks. Raises ValueError for anything else."""
        names, networks = set(), []
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                host = entry.lower()
                if not is_name(host):
                    raise ValueError(f"{entry!r} is no host name, address or network") from None
                names.add(host)
        return cls(frozenset(names), tuple(networks))

    def hold(self, host: str, address: IPAddress) -> bool:
        """Whether this address of the host is among them."""
        return host in self.names or any(address in network for network in self.networks)

    def may_hold(self, host: str) -> bool:
        """Whether an address of the host might be among them, as far as its name tells."""
        return host in self.names or bool(self.networks)


def is_name(host: str) -> bool:
    """Whether a host, in lower case, is written as names are, and no number."""
    return _NAME.fullmatch(host) is not None and not is_number(host)


def is_number(host: str) -> bool:
    """Whether some resolver takes a host for a number.

    To one or the other 2130706433, 0x7f.1 and 0177.0.0.1 are all 127.0.0.1.
    """
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
