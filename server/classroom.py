"""The teacher's part of the JSON API: courses, who is live in them, and raised hands."""

from typing import Any

from aiohttp import web

from server import auth, keys
from server.lives import shown_lifetime
from terminals.school.classroom import Seat
from terminals.store.courses import COURSE
from terminals.store.database import ID
from terminals.store.hands import Hand


def routes() -> list[web.RouteDef]:
    """Every call that only instructors get an answer from."""
    return [
        web.get("/api/courses", courses),
        web.get(f"/api/courses/{{id:{COURSE}}}/live", live),
        web.post(f"/api/hands/{{id:{ID}}}/claim", claim),
        web.post(f"/api/hands/{{id:{ID}}}/resolve", resolve),
    ]


async def courses(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    taught = await request.app[keys.STORE].courses.taught(user.id)
    shown = [{"id": each.id, "title": each.title, "students": each.students, "live": each.live} for each in taught]
    return web.json_response({"courses": shown})


async def live(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    course, seats, hands = await request.app[keys.CLASSROOM].live(request.match_info["id"], user.id)
    return web.json_response(
        {
            "course": {"id": course.id, "title": course.title, "join_code": course.join_code},
            "students": course.students,
            "sessions": [_seat(seat) for seat in seats],
            "hands": [_hand(hand) for hand in hands],
        }
    )


async def claim(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    await request.app[keys.HANDS].claim(request.match_info["id"], user.id)
    return web.json_response({})


async def resolve(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    await request.app[keys.HANDS].resolve(request.match_info["id"], user.id)
    return web.Response(status=204)


def _seat(seat: Seat) -> dict[str, Any]:
    session = seat.session
    return {
        "id": session.id,
        "student": {"id": str(session.user_id), "name": session.user_name},
        "lesson": {"id": session.lesson_id, "title": session.lesson_title},
        "state": session.state,
        "seconds": session.age,
        **shown_lifetime(seat.kept),
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


def _hand(hand: Hand) -> dict[str, Any]:
    return {
        "id": hand.id,
        "session": hand.session_id,
        "terminal": hand.terminal_id,
        "student": {"id": str(hand.user_id), "name": hand.user_name},
        "lesson": {"id": hand.lesson_id, "title": hand.lesson_title},
        "seconds": hand.age,
        "claimed_by": {"id": str(hand.claimer_id), "name": hand.claimer_name} if hand.claimer_id else None,
    }
