import ast
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from server import logs
from tests.conftest import ROOT
from tests.log_lines import check_lines, schema


@pytest.fixture
def configured() -> Iterator[Callable[[], None]]:
    """Configures when it is called: only then does the test's own stdout stand."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: logs.configure("info", "json")
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_everything_that_logs_is_json_with_the_correlation_id(
    configured: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    structlog.contextvars.bind_contextvars(request="abc")
    structlog.get_logger("ours").info("thing_done", count=1)
    logging.getLogger("yoyo.migrations").warning("theirs %s", "too")
    ours, theirs = lines(capsys)
    structlog.contextvars.clear_contextvars()
    assert (ours["event"], ours["count"], ours["request"], ours["level"]) == ("thing_done", 1, "abc", "info")
    assert (theirs["event"], theirs["logger"], theirs["request"]) == ("theirs too", "yoyo.migrations", "abc")


def test_tracebacks_never_hold_the_values_of_variables(
    configured: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured()

    def sign_in(password: str) -> None:
        raise ValueError(len(password))

    try:
        sign_in("hunter2-secret")
    except ValueError:
        structlog.get_logger("ours").exception("request_failed")
    text = capsys.readouterr().out
    assert "hunter2-secret" not in text
    assert "sign_in" in text


def test_the_addresses_of_execs_are_not_logged_at_debug(configured: Callable[[], None]) -> None:
    logs.configure("debug", "json")
    for name in ("urllib3", "websockets", "requests"):
        assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call that logs, with where it stands."""
    for path in sorted((*(ROOT / "server").rglob("*.py"), *(ROOT / "terminals").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_field_that_is_logged_is_published() -> None:
    published = {*schema()["properties"], "exc_info", None}
    found = list(calls())
    assert len(found) > 150
    assert not [(place, each.arg) for place, call in found for each in call.keywords if each.arg not in published]
    assert all(call.args and isinstance(call.args[0], ast.Constant) for _, call in found), "events are constants"


def test_a_line_that_is_no_object_of_the_schema_is_told() -> None:
    good = {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "logger": "server.app", "event": "thing_done"}
    check_lines(json.dumps(good).encode())
    for wrong in ({"level": "loud"}, {"event": "Thing done"}, {"password": "x"}, {"user": "7"}):
        with pytest.raises(AssertionError):
            check_lines(json.dumps({**good, **wrong}).encode())
    with pytest.raises(AssertionError):
        check_lines(b"Traceback (most recent call last):")
