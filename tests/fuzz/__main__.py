"""`make fuzz`: random and mutated streams into the decoders of what comes from containers and browsers. `--seconds N`."""

import argparse
import random
import time

from server import hello as hellos
from terminals import frames
from terminals.frames import BadFrame, Decoder

SEEDS = [
    frames.frame(b"H", bytes(82)),
    frames.frame(b"O", bytes(8) + b"hello"),
    frames.frame(b"K", bytes(16)),
    frames.frame(b"N", bytes(17)),
    frames.frame(b"G", bytes(16)),
    frames.frame(b"X", bytes(20)),
    frames.frame(b"P", bytes(4)),
    frames.frame(b"E", bytes(9) + b"text"),
    frames.frame(b"T", bytes(12) + b"\4bash\1\0\7"),
]
READERS = {
    frames.HELLO: frames.read_hello,
    frames.GAP: frames.read_pair,
    frames.TAKEN: frames.read_pair,
    frames.NAK: frames.read_nak,
    frames.EXIT: frames.read_exit,
    frames.STATUS: frames.read_status,
    frames.ERROR: frames.read_error,
}
BROWSER = (frames.read_browser_input, frames.read_browser_ack, frames.read_browser_resize)
HELLO = '{"type":"attach","writer":"00000000000000aa","role":"driver","cols":80,"rows":24,"birth":null,"offset":0}'


def main() -> None:
    words = argparse.ArgumentParser(prog="make fuzz")
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--seed", type=int, default=None)
    options = words.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    chance = random.Random(seed)
    limit, runs, refused = time.monotonic() + options.seconds, 0, 0
    print(f"seed {seed}")
    while time.monotonic() < limit:
        runs += 1
        refused += holder(chance) + browser(chance)
    print(f"{runs} runs, {refused} refused as bad frames, nothing else raised")


def holder(chance: random.Random) -> int:
    """A stream cut anywhere into the decoder and the readers: frames or BadFrame, and a bounded rest."""
    stream = mutated(chance, b"".join(chance.choices(SEEDS, k=chance.randint(1, 6))))
    decoder = Decoder()
    try:
        while stream:
            size = chance.randint(1, len(stream))
            for body in decoder.feed(stream[:size]):
                READERS.get(body[0], len)(body)
            assert len(decoder._rest) < frames.MAX_BODY + 4
            stream = stream[size:]
    except BadFrame:
        return 1
    return 0


def browser(chance: random.Random) -> int:
    refused = 0
    message = mutated(chance, chance.choice([b"I" + bytes(9), b"A" + bytes(8), b"R\0\x50\0\x18"]))
    for reader in BROWSER:
        try:
            reader(message)
        except BadFrame:
            refused += 1
    try:
        hellos.read_hello(mutated(chance, HELLO.encode()).decode("utf-8", "replace"))
    except BadFrame:
        refused += 1
    return refused


def mutated(chance: random.Random, data: bytes) -> bytes:
    """A few bytes changed, inserted, doubled or dropped."""
    changed = bytearray(data)
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(4):
            case 0 if at < len(changed):
                changed[at] = chance.randrange(256)
            case 1:
                changed[at:at] = chance.randbytes(chance.randint(1, 20))
            case 2:
                del changed[at : at + chance.randint(1, 10)]
            case _:
                changed[at:at] = changed[at : at + 30]
    return bytes(changed)


if __name__ == "__main__":
    main()
