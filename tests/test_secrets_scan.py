"""What lint refuses to let into the repository: a git repository of its own, with what somebody might commit."""

import secrets as random
import string
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from deploy import exceptions
from deploy.secrets import refused
from tests.conftest import ROOT

PEM = "-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n"


def drawn(letters: str, count: int) -> str:
    """Nothing in this file may look like a secret itself."""
    return "".join(random.choice(letters) for _ in range(count))


LETTERS = string.ascii_letters + string.digits
COMMITTED = {
    "private key": (
        "certs/client.key",
        PEM.format(kind="EC PRIVATE KEY", body=b64encode(random.token_bytes(90)).decode()),
    ),
    "key in a document": ("docs/setup.md", PEM.format(kind="RSA PRIVATE KEY", body="MIIE")),
    "SECRET_KEY": (".env.production", f"SECRET_KEY={random.token_urlsafe(48)}\n"),
    "password in an address": (
        "docker-compose.yml",
        f"DATABASE_URL: postgresql://educenter:{drawn(LETTERS, 12)}@db/educenter\n",
    ),
    "password in code": ("server/x.py", f'password = "{drawn(LETTERS, 12)}"\n'),
    "GitHub's token": (".ci/run", f"git clone https://x:{'ghp_' + drawn(LETTERS, 36)}@example.test\n"),
    "PyPI's token": ("notes.txt", "pypi-" + "AgEIcHlwaS5vcmc" + drawn(LETTERS, 80) + "\n"),
    "npm's token": (".npmrc", f"//registry.example.test/:_authToken={'npm' + '_' + drawn(LETTERS, 36)}\n"),
    "cloud key": ("deploy.sh", f"export AWS_ACCESS_KEY_ID={'AKIA' + drawn(string.ascii_uppercase + '234567', 16)}\n"),
    "hex token in code": ("client.ts", f'const token = "{random.token_hex(32)}";\n'),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


def listing(path: Path, text: str = "") -> Path:
    file = path / "exceptions.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("kind", COMMITTED)
def test_lint_refuses_a_secret_and_prints_only_where_it_is(repository: Path, kind: str) -> None:
    name, text = COMMITTED[kind]
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n" + text)
    found = refused(repository, listing(repository))
    assert found
    assert all(line.startswith(f"{name}:2: ") for line in found)
    assert not any(word in line for line in found for word in text.split())
    (repository / ".gitignore").write_text(name)
    assert not refused(repository, listing(repository))  # not git's: not published
    subprocess.run(["git", "-C", repository, "add", "--force", name], check=True)
    assert refused(repository, listing(repository)) == found


def test_an_exception_is_for_one_text_in_one_file_and_goes_with_it(repository: Path) -> None:
    public = drawn(LETTERS, 12)
    file = listing(repository, f'[[public]]\ntext = "{public}"\nfiles = ["a.py"]\nreason = "a test\'s"\n')
    (repository / "a.py").write_text(f'password = "{public}"\n')
    assert not refused(repository, file)
    (repository / "b.py").write_text(f'password = "{public}"\n')
    assert [line.partition(":")[0] for line in refused(repository, file)] == ["b.py"]
    (repository / "b.py").unlink()
    (repository / "a.py").write_text(f'password = "{drawn(LETTERS, 12)}"\n')
    assert [line.partition(":")[0] for line in refused(repository, file)] == [
        "a.py",
        "a.py",
    ]  # another one; and the old one is gone


@pytest.mark.parametrize(
    "entry", ['text = "x"\nfiles = ["a"]', 'text = "x"\nfiles = ["a"]\nreason = " "', 'reason = "so"']
)
def test_an_exception_without_a_reason_is_none(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ValueError, match="reason"):
        exceptions.public(listing(tmp_path, f"[[public]]\n{entry}\n"))


def test_this_repository_is_clean() -> None:
    assert not refused(ROOT)
