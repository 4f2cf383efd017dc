"""B-18, C-12: which addresses may be called, told from their text and from where they lead."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from trellis_outgoing.hosts import Hosts
from trellis_outgoing.outcome import TargetRefused
from trellis_outgoing.targets import check_text, is_public, parse, permitted

NONE = Hosts.of([])

NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",  # metadata of Alibaba Cloud
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # metadata of Azure
    "169.254.169.254",  # metadata of nearly all others
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",  # metadata of Oracle
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible
    "::ffff:127.0.0.1",  # IPv4-mapped
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",  # Teredo
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata of AWS
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "2606:4700::1111%1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "223.255.255.255",
    "2001:200::1",
    "2606:4700::1111",
    "2a00::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_b18_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(TargetRefused, match="no public address"):
        permitted(parse("https://host.example/"), [address], NONE)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_beside_the_special_ones_is_public(address: str) -> None:
    assert permitted(parse("https://host.example/"), [address], NONE) == [ip_address(address)]


def test_b18_of_several_addresses_only_the_public_ones_are_called() -> None:
    found = permitted(
        parse("https://host.example/"), ["10.0.0.1", "8.8.8.8", "::1", "1.1.1.1"], NONE
    )
    assert found == [ip_address("8.8.8.8"), ip_address("1.1.1.1")]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host.example",
        "//host.example/",
        "ftp://host.example/",
        "file:///etc/passwd",
        "gopher://host.example/",
        "https://",
        "https:///path",
        "https:host.example",
        "https://user@host.example/",
        "https://user:password@host.example/",
        "https://@host.example/",
        "https://8.8.8.8@127.0.0.1/",
        "https://host.example/#fragment",
        "https://host.example#@127.0.0.1/",
        "https://host.example\\@127.0.0.1/",
        "https://host.example\\.other.example/",
        "https://host.example /",
        "https://host.example/a b",
        "https://host.example/\r\nX: y",
        "https://ho\tst.example/",
        " https://host.example/",
        "https://host.example/\x00",
        "https://h\u00f6st.example/",
        "https://\u212aost.example/",
        "http\u017f://host.example/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://host.example/\ud800",
        "https://host..example/",
        "https://.example/",
        "https://-host.example/",
        "https://ho%73t.example/",
        "https://ho$t.example/",
        "https://" + "a" * 64 + ".example/",
        "https://host.example/" + "a" * 2000,
        "https://host.example:0/",
        "https://host.example:22/",
        "https://host.example:25/",
        "https://host.example:65536/",
        "https://host.example:-1/",
        "https://host.example:port/",
        # What some resolvers take for 127.0.0.1
        "https://2130706433/",
        "https://017700000001/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.01/",
        "https://127.0.0.1.1/",
        "https://1.2.3.256/",
        "https://0/",
        "https://[::1/",
        "https://::1/",
        "https://[::1]x/",
        "https://[fe80::1%25lo]/",
        "https://[v1.x]/",
        "https://[127.0.0.1]/",
    ],
)
def test_c12_an_address_that_is_not_plain_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        parse(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://host.example", "host.example", 443, "/", "host.example"),
        ("https://HOST.example./x", "host.example", 443, "/x", "host.example"),
        ("https://host.example:8443/a?b=c", "host.example", 8443, "/a?b=c", "host.example:8443"),
        ("https://host.example:/a?", "host.example", 443, "/a?", "host.example"),
        ("https://1.2.3.4/", "1.2.3.4", 443, "/", "1.2.3.4"),
        ("https://[2A00::1]:8443/", "2a00::1", 8443, "/", "[2a00::1]:8443"),
        ("https://xn--hst-sna.example/", "xn--hst-sna.example", 443, "/", "xn--hst-sna.example"),
        ("http://host.example/", "host.example", 80, "/", "host.example"),
        ("https://a_b.example:80/", "a_b.example", 80, "/", "a_b.example:80"),
    ],
)
def test_a_plain_address_is_taken_apart_once(
    url: str, host: str, port: int, path: str, authority: str
) -> None:
    target = parse(url)
    assert (target.host, target.port, target.path) == (host, port, path)
    assert target.authority == authority


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://[::1]/", "http://8.8.8.8/", "http://host.example/"]
)
def test_c12_what_can_be_told_at_once_is_told(url: str) -> None:
    with pytest.raises(TargetRefused):
        check_text(url, NONE)
    check_text("https://host.example/", NONE)
    check_text(url, Hosts.of(["127.0.0.1", "::1", "8.8.8.8", "host.example"]))


# --- what an operator has allowed ---------------------------------------------------------------


def test_an_exception_opens_what_it_names_and_nothing_else() -> None:
    allowed = Hosts.of(["Warehouse.internal", "10.1.0.0/16", "::1"])
    warehouse, other = parse("https://warehouse.internal/"), parse("https://other.internal/")
    assert permitted(warehouse, ["192.168.0.7"], allowed)
    assert permitted(other, ["10.1.2.3"], allowed)
    assert permitted(other, ["::1"], allowed)
    for address in ("192.168.0.7", "10.2.0.1", "::ffff:10.1.2.3"):
        with pytest.raises(TargetRefused):
            permitted(other, [address], allowed)


def test_without_tls_only_what_an_operator_named_is_called() -> None:
    allowed = Hosts.of(["warehouse.internal", "10.0.0.0/8"])
    assert permitted(parse("http://warehouse.internal/"), ["10.0.0.1"], allowed)
    assert permitted(parse("http://other.example/"), ["8.8.8.8", "10.0.0.1"], allowed) == [
        ip_address("10.0.0.1")
    ]
    with pytest.raises(TargetRefused, match="https"):
        permitted(parse("http://other.example/"), ["8.8.8.8"], allowed)


@pytest.mark.parametrize(
    "entry", ["", "*", "*.internal", "http://host", "10.0.0.1/8", "10.0.0.0/33", "127.1", "a b"]
)
def test_an_exception_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="no host name, address or network"):
        Hosts.of([entry])
