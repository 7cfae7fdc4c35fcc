"""The JSON API (docs/protocol.md): read the request, call one core function, shape the answer. Teachers' calls: `classroom`."""

import re
from typing import Any

from aiohttp import web

from server import auth, keys
from server.bodies import read_body
from server.lives import shown_lifetime
from terminals.errors import Invalid, NotFound
from terminals.labs.containers import STEPS
from terminals.networks import CLOSED
from terminals.store.database import ID
from terminals.store.hands import Hand
from terminals.store.lessons import Card
from terminals.store.sessions import FULL, WAITING, Session
from terminals.store.terminals import Titled
from terminals.store.users import User

TITLE = 40
"""Characters of a terminal's name."""
EXTENSIONS = 30
"""Of one student's labs within `auth.ATTEMPTS_WINDOW_S`."""
RAISES = 30
"""Of one student's hands within `auth.ATTEMPTS_WINDOW_S`: each is kept, and each moves the teacher's page."""


def routes() -> list[web.RouteDef]:
    """Every call of the API."""
    return [
        web.post("/api/login", login),
        web.post("/api/logout", logout),
        web.post("/api/logout/everywhere", logout_everywhere),
        web.post("/api/password", set_password),
        web.get("/api/me", me),
        web.get("/api/lessons", lessons),
        web.post("/api/sessions", start_session),
        web.get(f"/api/sessions/{{id:{ID}}}", show_session),
        web.delete(f"/api/sessions/{{id:{ID}}}", end_session),
        web.post("/api/enrolments", join),
        web.post(f"/api/sessions/{{id:{ID}}}/terminals", add_terminal),
        web.patch(f"/api/sessions/{{id:{ID}}}/terminals/{{terminal:{ID}}}", name_terminal),
        web.delete(f"/api/sessions/{{id:{ID}}}/terminals/{{terminal:{ID}}}", close_terminal),
        web.post(f"/api/sessions/{{id:{ID}}}/hand", raise_hand),
        web.delete(f"/api/sessions/{{id:{ID}}}/hand", lower_hand),
        web.post(f"/api/sessions/{{id:{ID}}}/extend", extend),
    ]


async def login(request: web.Request) -> web.Response:
    body = await read_body(request)
    email, password = body.get("email"), body.get("password")
    if not isinstance(email, str) or not isinstance(password, str):
        raise Invalid("Send {email, password}")
    user = await auth.sign_in(request, email, password)
    return web.json_response({"user": _user(user)})


async def set_password(request: web.Request) -> web.Response:
    body = await read_body(request)
    token, password = body.get("token"), body.get("password")
    if not isinstance(token, str) or not isinstance(password, str):
        raise Invalid("Send {token, password}")
    await auth.set_password(request, token, password)
    return web.Response(status=204)


async def logout_everywhere(request: web.Request) -> web.Response:
    await auth.sign_out_everywhere(request)
    return await logout(request)


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
    session, store = await own_session(request), request.app[keys.STORE]
    terminals = await store.terminals.of_session(session.id) if session.state == "live" else []
    hand = await store.hands.of_session(session.id, session.course_id) if session.state == "live" else None
    following = await store.lessons.after(session.lesson_id) if session.state == "ended" else None
    shown = _shown(session, terminals, following)
    time = shown_lifetime(await request.app[keys.KEEPING].of_session(session.id) if session.state == "live" else None)
    if session.ended_by == "reset":
        shown["ended"]["successor"] = await store.sessions.running_of(session.user_id, session.lesson_id)
    act = await store.acts.of_session(session.id)
    shown["acted"] = {"who": act.who_name, "act": act.act, "at": act.at.isoformat()} if act else None
    kept = await store.kept.of(session.user_id, session.lesson_id)
    shown["kept"] = {"at": kept.at.isoformat(), "until": kept.until.isoformat()} if kept else None
    if session.state == "starting":
        shown["progress"] = _progress(session, await request.app[keys.STARTS].standing(session.id))
    shown["upload_most"] = request.app[keys.SETTINGS].upload_most
    return web.json_response({**shown, **time, "hand": _hand(hand)})


async def end_session(request: web.Request) -> web.Response:
    session = await own_session(request)
    await request.app[keys.SESSIONS].end(session.id, by="student")
    return web.json_response({}, status=202)


async def add_terminal(request: web.Request) -> web.Response:
    session = await own_session(request)
    terminal = await request.app[keys.SESSIONS].add_terminal(session.id, session.state, restarting=session.restarting)
    return web.json_response({"id": terminal}, status=201)


async def close_terminal(request: web.Request) -> web.Response:
    session = await own_session(request)
    await request.app[keys.HUB].close_terminal(request.match_info["terminal"], session.id, session.user_id)
    return web.Response(status=204)


async def name_terminal(request: web.Request) -> web.Response:
    session = await own_session(request)
    title = (await read_body(request)).get("title")
    if not isinstance(title, str) or len(title := clean_title(title)) > TITLE:
        raise Invalid(f"Send {{title}}: a name of at most {TITLE} characters, or an empty one")
    await request.app[keys.SESSIONS].name_terminal(request.match_info["terminal"], session.id, title or None)
    return web.Response(status=204)


async def raise_hand(request: web.Request) -> web.Response:
    session = await own_session(request)
    terminal = (await read_body(request)).get("terminal") if request.can_read_body else None
    if terminal is not None and not isinstance(terminal, str):
        raise Invalid("Send {terminal}: the id of the terminal in front, or null")
    await auth.ration(request, f"hand:{session.user_id}", RAISES)
    hand = await request.app[keys.HANDS].put_up(session, terminal)
    return web.json_response({"hand": _hand(hand)}, status=201)


async def lower_hand(request: web.Request) -> web.Response:
    await request.app[keys.HANDS].lower(await own_session(request))
    return web.Response(status=204)


async def extend(request: web.Request) -> web.Response:
    session = await own_session(request)
    stays = (await read_body(request)).get("stay", False) if request.can_read_body else False
    if not isinstance(stays, bool):
        raise Invalid("Send {stay}: true only to say that you are there")
    await auth.ration(request, f"extend:{session.user_id}", EXTENSIONS)
    keeping = request.app[keys.KEEPING]
    kept = await (keeping.stay(session.id) if stays else keeping.extend(session.id))
    return web.json_response(shown_lifetime(kept))


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


def clean_title(text: str) -> str:
    """One line without control characters and without those that turn the direction of the text."""
    return " ".join(
        re.sub("[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", " ", text).split()
    )


async def own_session(request: web.Request) -> Session:
    """The session in the path, for its student.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
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


def _shown(session: Session, terminals: list[Titled], following: tuple[str, str] | None) -> dict[str, Any]:
    over = session.state == "ended"
    return {
        "id": session.id,
        "state": session.state,
        "progress": None,
        "seconds": session.age,
        "restarting": session.restarting,
        "terminals": [{"id": each.id, "title": each.title, "position": each.position} for each in terminals],
        "error": {"code": session.error_code, "message": session.error_message} if session.error_code else None,
        "course": {"id": session.course_id, "title": session.course_title},
        "lesson": {
            "id": session.lesson_id,
            "title": session.lesson_title,
            "minutes": session.lesson_minutes,
            "position": session.lesson_position,
        },
        "network": {"kind": session.network, "hosts": session.hosts if session.network == CLOSED else []},
        "ended": {"by": session.ended_by, "seconds_ago": session.ended_ago, "successor": None} if over else None,
        "next": {"id": following[0], "title": following[1]} if following else None,
    }


def _progress(session: Session, standing: tuple[int, int | None]) -> dict[str, Any]:
    place, left = standing
    return {
        "step": session.step,
        "done": session.steps_done,
        "of": STEPS,
        "seconds": session.age,
        # What else it waits for is more to the point.
        "place": place or None if session.step in (WAITING, FULL) else None,
        "full": session.step == FULL,
        "seconds_left": left,
    }


def _hand(hand: Hand | None) -> dict[str, Any] | None:
    return {"seconds": hand.age, "place": hand.place, "claimed_by": hand.claimer_name} if hand else None
