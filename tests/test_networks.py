"""What a lesson may say of its network, and what that means for LXD."""

import re

import pytest

from terminals.errors import Invalid
from terminals.networks import CLOSED, INTERNET, NONE, RESERVED, allows, check, overlapping, plans, public


@pytest.mark.parametrize(
    ("network", "hosts"),
    [
        (NONE, []),
        (INTERNET, []),
        (CLOSED, ["pypi.org"]),
        (CLOSED, ["*.pythonhosted.org", "xn--bcher-kva.example", "a-b.c1.org"]),
        (CLOSED, [f"h{number}.example.org" for number in range(100)]),
    ],
)
def test_a_lesson_may_have(network: str, hosts: list[str]) -> None:
    check(network, hosts)


@pytest.mark.parametrize(
    ("network", "hosts", "says"),
    [
        ("open", [], "no network 'open'"),
        (NONE, ["pypi.org"], "closed network only"),
        (INTERNET, ["pypi.org"], "closed network only"),
        (CLOSED, [], "needs the host names"),
        (CLOSED, [f"h{number}.example.org" for number in range(101)], "1 to 100"),
        *(
            (CLOSED, [host], "is no host name")
            for host in (
                *("", "*", "*.", "*.org", "localhost", "PyPI.org", "pypi.org.", "pypi.org:443", "https://pypi.org"),
                *(
                    "a.*.org",
                    "**.a.org",
                    "-a.org",
                    "a-.org",
                    "a..org",
                    "10.0.0.1",
                    "[::1]",
                    "a b.org",
                    "ä.org",
                    "a.org\n",
                ),
            )
        ),
    ],
)
def test_a_lesson_may_not_have(network: str, hosts: list[str], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        check(network, hosts)


def test_a_star_stands_for_all_below_a_name_and_not_for_the_name() -> None:
    hosts = ["pypi.org", "*.example.org"]
    assert all(allows(hosts, name) for name in ("pypi.org", "a.example.org", "a.b.example.org"))
    assert not any(
        allows(hosts, name) for name in ("www.pypi.org", "example.org", "badexample.org", "pypi.org.evil.net")
    )


@pytest.mark.parametrize(
    "address",
    [
        *(
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "127.0.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "100.100.0.1",
            "224.0.0.1",
        ),
        *("255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:8.8.8.8"),
        *("64:ff9b::a00:1", "2002:a00:1::1", "2001:0:4136:e378::1", "2001:db8::1"),
    ],
)
def test_an_address_near_isnt_the_internets(address: str) -> None:
    assert not public(address)


@pytest.mark.parametrize("address", ["192.31.196.10", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_an_address_of_the_internet_is(address: str) -> None:
    assert public(address)


def test_a_closed_bridge_lets_out_to_the_proxy_only_and_has_no_name_server() -> None:
    plan = plans("edu", {CLOSED: "10.77.0.1/20"}, 3128)[CLOSED]
    assert plan.rules(["9.9.9.9"]) == [
        {
            "action": "allow",
            "state": "enabled",
            "destination": "10.77.0.1/32",
            "protocol": "tcp",
            "destination_port": "3128",
        }
    ]
    config = plan.config()
    assert config["security.acls.default.egress.action"] == "reject"
    assert (config["ipv4.nat"], config["ipv4.routing"], config["raw.dnsmasq"]) == ("false", "false", "port=0")


def test_no_bridge_has_a_name_server_and_internet_labs_are_given_others() -> None:
    found = plans("edu", {CLOSED: "10.77.0.1/20", INTERNET: "10.78.0.1/20"}, 3128, ("9.9.9.9", "1.1.1.1"))
    assert found[CLOSED].config()["raw.dnsmasq"] == "port=0"
    assert found[INTERNET].config()["raw.dnsmasq"].split("\n") == [
        "port=0",
        "dhcp-option=option:dns-server,9.9.9.9,1.1.1.1",
    ]


def test_an_internet_bridge_refuses_what_is_reserved_and_the_hosts_own_addresses() -> None:
    plan = plans("edu", {INTERNET: "10.78.0.1/20"}, 3128)[INTERNET]
    (rule,) = plan.rules(["192.31.196.2", "10.0.0.5", "fe80::1", "127.0.0.1"])
    assert rule["action"] == "reject"
    assert rule["destination"].split(",") == [*map(str, RESERVED), "192.31.196.2/32"]


@pytest.mark.parametrize("block", ["10.77.0.5/20", "10.77.0.1/29", "9.9.9.1/24", "10.77.0.1", "nonsense", "fd00::1/64"])
def test_a_block_must_be_private_large_enough_and_begin_with_the_bridge(block: str) -> None:
    with pytest.raises(ValueError, match=re.escape(block.partition("/")[0])):
        plans("edu", {CLOSED: block}, 3128)


def test_two_blocks_may_not_overlap() -> None:
    assert overlapping(plans("edu", {CLOSED: "10.77.0.1/20", INTERNET: "10.77.8.1/24"}, 3128).values())
    assert not overlapping(plans("edu", {CLOSED: "10.77.0.1/20", INTERNET: "10.77.16.1/24"}, 3128).values())
