"""Greets whoever connects or sends a datagram, and says who that was; `frames:DEVICE` says what frames of tests it sees."""

import contextlib
import select
import socket
import sys

MARK = b"EDUCENTER-"


def opened(place: str) -> socket.socket:
    if place.startswith("frames:"):
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        found.bind((place.removeprefix("frames:"), 0))
        return found
    host, _, port = place.removeprefix("udp:").rpartition(":")
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if place.startswith("udp:") else socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((host, int(port)))
    if not place.startswith("udp:"):
        found.listen()
    return found


def answer(place: str, found: socket.socket) -> None:
    if place.startswith("frames:"):
        _, _, mark = found.recv(2048).partition(MARK)
        if mark:
            print("frame", mark.partition(b";")[0].decode(), flush=True)
    elif place.startswith("udp:"):
        data, who = found.recvfrom(2048)
        print("datagram", place, who[0], flush=True)
        found.sendto(data, who)
    else:
        connection, who = found.accept()
        print("connection", place, who[0], flush=True)
        with contextlib.suppress(OSError), connection:  # a scan is gone before it is greeted
            connection.sendall(b"HELLO\r\n")
            connection.shutdown(socket.SHUT_WR)


places = {opened(place): place for place in sys.argv[1:]}
print("listening", flush=True)
while True:
    for ready in select.select([*places], [], [])[0]:
        answer(places[ready], ready)
