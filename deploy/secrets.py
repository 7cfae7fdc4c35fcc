"""Secrets that a commit would publish: every file that git has or would take, searched by detect-secrets' detectors.

Runs in the tests' environment (python -m deploy.secrets), which has the library. Its own scan takes half a minute and asks
services whether what it found is valid; here a file is one text, and nothing leaves the machine. History isn't looked at.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.filters import heuristic
from detect_secrets.plugins.base import BasePlugin
from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
from detect_secrets.plugins.keyword import DENYLIST, KeywordDetector
from detect_secrets.settings import transient_settings

from deploy import exceptions
from deploy.world import CHECKOUT

LEFT_OUT = {"IPPublicDetector", "CloudantDetector", "IbmCloudIamDetector", "IbmCosHmacDetector", "SoftlayerDetector"}
"""Addresses are no secrets; nothing here speaks to the others' services, and they take most of the time."""
KEYWORD = re.compile("|".join(DENYLIST), re.IGNORECASE)
"""The library tries long expressions on every line; on one without any of its words they can't match."""
HARMLESS = (
    heuristic.is_sequential_string,
    heuristic.is_potential_uuid,
    heuristic.is_templated_secret,
    heuristic.is_prefixed_with_dollar_sign,
    heuristic.is_not_alphanumeric_string,
)
UNQUOTED = (".env*", "*.yml", "*.yaml", "*.conf", "*.ini", "*.cfg")
"""Where values stand without quotes."""


@dataclass(frozen=True)
class Found:
    """Something that looks like a secret."""

    file: str
    line: int
    kind: str
    secret: str


def detectors() -> list[BasePlugin]:
    """The library's, but those that are left out."""
    kinds: list[type[BasePlugin]] = list(get_mapping_from_secret_type_to_class().values())
    return [kind() for kind in kinds if kind.__name__ not in LEFT_OUT]


def search(file: str, text: str, plugins: list[BasePlugin]) -> Iterator[Found]:
    """What is in one file."""
    unquoted = any(fnmatch(Path(file).name, name) for name in UNQUOTED)
    with ExitStack() as stack:
        # Without filters: one of them makes detectors ask services about what they find.
        stack.enter_context(transient_settings({"plugins_used": [], "filters_used": []}))
        for plugin in plugins:
            if unquoted and isinstance(plugin, HighEntropyStringsPlugin):
                stack.enter_context(plugin.non_quoted_string_regex(is_exact_match=False))
            seen = set()
            for part in _parts(plugin, text):
                for found in plugin.analyze_line(filename=file, line=part):
                    secret = found.secret_value or ""
                    if secret not in seen and not any(harmless(secret) for harmless in HARMLESS):
                        yield Found(file, text[: text.index(secret)].count("\n") + 1, found.type, secret)
                    seen.add(secret)


def _parts(plugin: BasePlugin, text: str) -> list[str]:
    """The detector of words gives the first match only, so it gets line by line."""
    if isinstance(plugin, KeywordDetector):
        named = (line for line in text.splitlines() if KEYWORD.search(line))
        return [line for line in named if not heuristic.is_indirect_reference(line)]
    return [text]


def refused(root: Path = CHECKOUT, file: Path = exceptions.FILE) -> list[str]:
    """What is there and not known to be public, and what is called public and isn't there."""
    ask = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(ask, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    plugins, public, wrong = detectors(), exceptions.public(file), []
    unused = set(public)
    for name in sorted({name for name in listed if name and (root / name).is_file()}):
        # Hashes, each beside what it is the hash of; and the list itself, which may name nothing that is nowhere else.
        if heuristic.is_lock_file(name) or root / name == file:
            continue
        for found in search(name, (root / name).read_text(errors="replace"), plugins):
            if (found.file, found.secret) not in public:
                wrong.append(f"{found.file}:{found.line}: {found.kind}")
            unused.discard((found.file, found.secret))
    return wrong + [f"{name}: {text!r} is called public and isn't there" for name, text in sorted(unused)]


def main() -> int:
    """Prints what is refused, never the secret itself: logs are read by others."""
    wrong = refused()
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    if wrong:
        sys.stdout.write(f"What was pushed is no secret any more: replace it. What is public: {exceptions.FILE.name}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
