"""`make fuzz`: what the server reads from containers and browsers (atheris), then the holder (libFuzzer), half of the time each.

`--seconds N`; `--of server` or `--of holder`; `--merge` keeps the inputs that reached something new in the holder.
"""

import argparse
import sys

from tests.fuzz import holder, server


def main() -> int:
    words = argparse.ArgumentParser(prog="make fuzz")
    words.add_argument("--seconds", type=float, default=60, help="in all")
    words.add_argument("--of", choices=("server", "holder"), action="append", help="only these targets")
    words.add_argument("--merge", action="store_true", help="into the holder's kept corpus, when nothing crashed")
    options = words.parse_args()
    wanted = options.of or ["server", "holder"]
    seconds = options.seconds / len(wanted)
    found = 0
    if "server" in wanted:
        found += sum(server.fuzz(name, max(1, round(seconds / len(server.NAMES)))) for name in server.NAMES)
    if "holder" in wanted:
        found += holder.fuzz(seconds, merge_new=options.merge)
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
