"""The JSON API (docs/protocol.md): read the request, call one core function, shape the answer."""

import re
from typing import Any

from aiohttp import web

from server import auth, keys
from server.bodies import read_body
from terminals.classroom import Seat
from terminals.errors import Invalid, NotFound
from terminals.pool import STEPS
from terminals.store.courses import COURSE
from terminals.store.database import ID
from terminals.store.lessons import Card
from terminals.store.sessions import Session
from terminals.store.terminals import Titled
from terminals.store.users import User

TITLE = 40
"""Characters of a terminal's name."""


def routes() -> list[web.RouteDef]:
    """Every call of the API."""
    return [
        web.post("/api/login", login),
        web.post("/api/logout", logout),
        web.get("/api/me", me),
        web.get("/api/lessons", lessons),
        web.post("/api/sessions", start_session),
        web.get(f"/api/sessions/{{id:{ID}}}", show_session),
        web.delete(f"/api/sessions/{{id:{ID}}}", end_session),
        web.post("/api/enrolments", join),
        web.get("/api/courses", courses),
        web.get(f"/api/courses/{{id:{COURSE}}}/live", live),
        web.post(f"/api/sessions/{{id:{ID}}}/terminals", add_terminal),
        web.patch(f"/api/sessions/{{id:{ID}}}/terminals/{{terminal:{ID}}}", name_terminal),
        web.delete(f"/api/sessions/{{id:{ID}}}/terminals/{{terminal:{ID}}}", close_terminal),
    ]


async def login(request: web.Request) -> web.Response:
    body = await read_body(request)
    email, password = body.get("email"), body.get("password")
    if not isinstance(email, str) or not isinstance(password, str):
        raise Invalid("Send {email, password}")
    user = await auth.sign_in(request, email, password)
    return web.json_response({"user": _user(user)})


async def logout(request: web.Request) -> web.Response:
    await auth.forget(request)
    response = web.Response(status=204)
    response.del_cookie(auth.cookie_name(request.app[keys.SETTINGS]), path="/")
    return response


async def me(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    await auth.renew(request)
    return web.json_response({"user": _user(user)})


async def lessons(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    cards = await request.app[keys.STORE].lessons.of_user(user.id)
    return web.json_response({"lessons": [_card(card) for card in cards]})


async def start_session(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    lesson = (await read_body(request)).get("lesson")
    if not isinstance(lesson, str):
        raise Invalid("Send {lesson}: a lesson's id")
    session = await request.app[keys.SESSIONS].start(user.id, lesson)
    return web.json_response({"id": session}, status=202)


async def show_session(request: web.Request) -> web.Response:
    session, store = await _session(request), request.app[keys.STORE]
    terminals = await store.terminals.of_session(session.id) if session.state == "live" else []
    following = await store.lessons.after(session.lesson_id) if session.state == "ended" else None
    return web.json_response(_shown(session, terminals, following))


async def end_session(request: web.Request) -> web.Response:
    session = await _session(request)
    await request.app[keys.SESSIONS].end(session.id, by="student")
    return web.json_response({}, status=202)


async def add_terminal(request: web.Request) -> web.Response:
    session = await _session(request)
    terminal = await request.app[keys.SESSIONS].add_terminal(session.id, session.state)
    return web.json_response({"id": terminal}, status=201)


async def close_terminal(request: web.Request) -> web.Response:
    session = await _session(request)
    await request.app[keys.HUB].close_terminal(request.match_info["terminal"], session.id, session.user_id)
    return web.Response(status=204)


async def name_terminal(request: web.Request) -> web.Response:
    session = await _session(request)
    title = (await read_body(request)).get("title")
    if not isinstance(title, str) or len(title := clean_title(title)) > TITLE:
        raise Invalid(f"Send {{title}}: a name of at most {TITLE} characters, or an empty one")
    await request.app[keys.SESSIONS].name_terminal(request.match_info["terminal"], session.id, title or None)
    return web.Response(status=204)


async def join(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    code = (await read_body(request)).get("code")
    if not isinstance(code, str):
        raise Invalid("Send {code}: the code that the teacher gave out")
    await auth.ration(request, f"join:{user.id}", auth.ATTEMPTS)
    found = await request.app[keys.STORE].courses.join(code.strip().upper(), user.id)
    if found is None:
        raise NotFound("No course has this code. Check it with your teacher", code="unknown_code")
    return web.json_response({"course": {"id": found[0], "title": found[1]}}, status=201)


async def courses(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    taught = await request.app[keys.STORE].courses.taught(user.id)
    shown = [{"id": each.id, "title": each.title, "students": each.students, "live": each.live} for each in taught]
    return web.json_response({"courses": shown})


async def live(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    course, seats = await request.app[keys.CLASSROOM].live(request.match_info["id"], user.id)
    return web.json_response(
        {
            "course": {"id": course.id, "title": course.title, "join_code": course.join_code},
            "students": course.students,
            "sessions": [_seat(seat) for seat in seats],
        }
    )


def clean_title(text: str) -> str:
    """One line without control characters and without those that turn the direction of the text."""
    return " ".join(
        re.sub("[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", " ", text).split()
    )


async def _session(request: web.Request) -> Session:
    user = await auth.signed_in(request)
    session = await request.app[keys.STORE].sessions.of_user(request.match_info["id"], user.id)
    if session is None:
        raise NotFound("There is no such lab")
    return session


def _user(user: User) -> dict[str, Any]:
    return {"id": str(user.id), "name": user.name, "email": user.email}


def _card(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "course": {"id": card.course_id, "title": card.course_title, "role": card.role},
        "position": card.position,
        "title": card.title,
        "minutes": card.minutes,
        "done": card.done,
        "session": {"id": card.session_id, "state": card.session_state, "seconds": card.session_age}
        if card.session_id
        else None,
    }


def _seat(seat: Seat) -> dict[str, Any]:
    session = seat.session
    return {
        "id": session.id,
        "student": {"id": str(session.user_id), "name": session.user_name},
        "lesson": {"id": session.lesson_id, "title": session.lesson_title},
        "state": session.state,
        "seconds": session.age,
        "terminals": [
            {
                "id": terminal.id,
                "title": terminal.title,
                "position": terminal.position,
                "command": facts.command if facts else None,
                "state": state,
                "quiet_seconds": quiet,
            }
            for terminal, facts, state, quiet in seat.terminals
        ],
    }


def _shown(session: Session, terminals: list[Titled], following: tuple[str, str] | None) -> dict[str, Any]:
    starting, over = session.state == "starting", session.state == "ended"
    return {
        "id": session.id,
        "state": session.state,
        "progress": {"step": session.step, "done": session.steps_done, "of": STEPS, "seconds": session.age}
        if starting
        else None,
        "seconds": session.age,
        "terminals": [{"id": each.id, "title": each.title, "position": each.position} for each in terminals],
        "error": {"code": session.error_code, "message": session.error_message} if session.error_code else None,
        "course": {"id": session.course_id, "title": session.course_title},
        "lesson": {
            "id": session.lesson_id,
            "title": session.lesson_title,
            "minutes": session.lesson_minutes,
            "position": session.lesson_position,
        },
        "ended": {"by": session.ended_by, "seconds_ago": session.ended_ago} if over else None,
        "next": {"id": following[0], "title": following[1]} if following else None,
    }
