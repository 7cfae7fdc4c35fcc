"""The proxy's heads: one CONNECT to a name, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.proxy.heads import END, Refusal, Target, read


@pytest.mark.parametrize(
    ("head", "target"),
    [
        (b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n\r\n", Target("pypi.org", 443)),
        (b"CONNECT PyPI.org:80 HTTP/1.0\r\n\r\n", Target("pypi.org", 80)),
        (
            b"CONNECT xn--bcher-kva.example:443 HTTP/1.1\r\nUser-Agent: \r\nX:y\r\n\r\n",
            Target("xn--bcher-kva.example", 443),
        ),
    ],
)
def test_a_connect_to_a_name_is_read(head: bytes, target: Target) -> None:
    assert read(head) == target


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"GET http://pypi.org/ HTTP/1.1\r\n\r\n", "method"),
        (b"connect pypi.org:443 HTTP/1.1\r\n\r\n", "bad_head"),
        (b"CONNECT  pypi.org:443 HTTP/1.1\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443 HTTP/1.1 \r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443 HTTP/1.1\n\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443 HTTP/1.1\r\ntransfer-ENCODING: chunked\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443 HTTP/1.1\r\nHost : a\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: a\rb\r\n\r\n", "bad_head"),
        (b"CONNECT pypi.org:22 HTTP/1.1\r\n\r\n", "port"),
        (b"CONNECT pypi.org:0443 HTTP/1.1\r\n\r\n", "port"),
        (b"CONNECT pypi.org: HTTP/1.1\r\n\r\n", "port"),
        (b"CONNECT pypi.org HTTP/1.1\r\n\r\n", "no_name"),
        (b"CONNECT 192.31.196.10:443 HTTP/1.1\r\n\r\n", "no_name"),
        (b"CONNECT [::1]:443 HTTP/1.1\r\n\r\n", "no_name"),
        (b"CONNECT 0x7f000001:443 HTTP/1.1\r\n\r\n", "no_name"),
        (b"CONNECT 127.1:443 HTTP/1.1\r\n\r\n", "no_name"),
        (b"CONNECT pypi.org.:443 HTTP/1.1\r\n\r\n", "no_name"),
        (b"CONNECT me@pypi.org:443 HTTP/1.1\r\n\r\n", "no_name"),
        (b"CONNECT localhost:443 HTTP/1.1\r\n\r\n", "no_name"),
    ],
)
def test_what_is_no_plain_connect_is_refused(head: bytes, code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        read(head)
    assert refusal.value.code == code


@given(st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for head in (data + END, b"CONNECT pypi.org:443 HTTP/1.1\r\n" + data + END):
        try:
            target = read(head)
        except Refusal:
            continue
        assert (target.name, target.port) == ("pypi.org", 443)
