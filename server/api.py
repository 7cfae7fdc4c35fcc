"""The JSON API (docs/protocol.md): read the request, call one core function, shape the answer."""

import json
from typing import Any

from aiohttp import web

from server import auth, keys
from terminals.errors import Invalid, NotFound
from terminals.pool import STEPS
from terminals.store.database import ID
from terminals.store.lessons import Card
from terminals.store.sessions import Session
from terminals.store.users import User


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
        web.post(f"/api/sessions/{{id:{ID}}}/terminals", add_terminal),
        web.delete(f"/api/sessions/{{id:{ID}}}/terminals/{{terminal:{ID}}}", close_terminal),
    ]


async def login(request: web.Request) -> web.Response:
    body = await _body(request)
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
    lesson = (await _body(request)).get("lesson")
    if not isinstance(lesson, str):
        raise Invalid("Send {lesson}: a lesson's id")
    session = await request.app[keys.SESSIONS].start(user.id, lesson)
    return web.json_response({"id": session}, status=202)


async def show_session(request: web.Request) -> web.Response:
    session = await _session(request)
    terminals = await request.app[keys.STORE].terminals.of_session(session.id) if session.state == "live" else []
    return web.json_response(_shown(session, terminals))


async def end_session(request: web.Request) -> web.Response:
    session = await _session(request)
    await request.app[keys.SESSIONS].end(session.id)
    return web.json_response({}, status=202)


async def add_terminal(request: web.Request) -> web.Response:
    session = await _session(request)
    terminal = await request.app[keys.SESSIONS].add_terminal(session.id, session.state)
    return web.json_response({"id": terminal}, status=201)


async def close_terminal(request: web.Request) -> web.Response:
    session = await _session(request)
    await request.app[keys.HUB].close_terminal(request.match_info["terminal"], session.id, session.user_id)
    return web.Response(status=204)


async def _session(request: web.Request) -> Session:
    user = await auth.signed_in(request)
    session = await request.app[keys.STORE].sessions.of_user(request.match_info["id"], user.id)
    if session is None:
        raise NotFound("There is no such lab")
    return session


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        found = await request.json()
    except (ValueError, RecursionError) as error:
        raise Invalid("The body isn't JSON") from error
    if not isinstance(found, dict):
        raise Invalid("The body isn't a JSON object")
    try:
        text = json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Invalid("The body holds half a character") from error
    if b"\\u0000" in text:
        raise Invalid("The body holds a NUL character")
    return found


def _user(user: User) -> dict[str, Any]:
    return {"id": str(user.id), "name": user.name, "email": user.email}


def _card(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "course": {"id": card.course_id, "title": card.course_title, "role": card.role},
        "title": card.title,
        "minutes": card.minutes,
        "session": {"id": card.session_id, "state": card.session_state} if card.session_id else None,
    }


def _shown(session: Session, terminals: list[str]) -> dict[str, Any]:
    starting = session.state == "starting"
    return {
        "id": session.id,
        "state": session.state,
        "progress": {"step": session.step, "done": session.steps_done, "of": STEPS, "seconds": session.age}
        if starting
        else None,
        "terminals": [{"id": terminal} for terminal in terminals],
        "error": {"code": session.error_code, "message": session.error_message} if session.error_code else None,
        "lesson": {"id": session.lesson_id, "title": session.lesson_title, "minutes": session.lesson_minutes},
    }
