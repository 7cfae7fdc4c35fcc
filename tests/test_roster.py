"""Lists of people, as spreadsheets write them."""

from pathlib import Path

import pytest

from server.commands.roster import Person, read_roster


def read(folder: Path, text: str, encoding: str = "utf-8") -> tuple[list[Person], list[str]]:
    file = folder / "people.csv"
    file.write_bytes(text.encode(encoding))
    return read_roster(str(file))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("email,name,role\nAda@example.test,Ada Lovelace,instructor\nbo@example.test,Bo\n", "utf-8"),
        (
            "Name;Role;Email\r\nAda Lovelace;Instructor;ada@example.test\r\n;;\r\nBo;;bo@example.test\r\n",
            "utf-8-sig",
        ),
        ('email,name,role\n ada@example.test ,"Ada Lovelace",instructor\nbo@example.test,Bo,student', "utf-8"),
    ],
)
def test_everybody_is_read(tmp_path: Path, text: str, encoding: str) -> None:
    people = [Person("ada@example.test", "Ada Lovelace", "instructor"), Person("bo@example.test", "Bo", "student")]
    assert read(tmp_path, text, encoding) == (people, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nobody"),
        ("email,name\n", "nobody"),
        ("mail,name\na@b.test,A\n", "line 1: the head"),
        ("email,name\nnot-one,A\n", "line 2: not-one is no e-mail address"),
        ("email,name\n,A\n", "line 2: nothing is no e-mail address"),
        ("email,name\na@b.test,\n", "line 2: a name"),
        ("email,name,role\na@b.test,A,boss\n", "boss is no role"),
        ("email,name\na@b.test,A\nA@B.test,B\n", "line 3: a@b.test stands in line 2, too"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    assert any(problem in said for said in read(tmp_path, text)[1])


def test_what_is_no_file_and_no_text_is_said(tmp_path: Path) -> None:
    assert "No such file" in read_roster(str(tmp_path / "none.csv"))[1][0]
    assert "isn't UTF-8" in read(tmp_path, "email,name\na@b.test,Zoë\n", "latin-1")[1][0]
