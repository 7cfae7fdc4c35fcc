"""Teaching: the API's part for instructors that changes something, and its accounts: rules, who typed and who reset for whom."""

from typing import Any

from aiohttp import web

from server import auth, keys
from server.bodies import read_body
from terminals.store.acts import Act
from terminals.store.audits import Account
from terminals.store.courses import COURSE, Course
from terminals.store.database import ID


def routes() -> list[web.RouteDef]:
    """Every call of this part."""
    return [
        web.get(f"/api/courses/{{id:{COURSE}}}/rules", rules),
        web.patch(f"/api/courses/{{id:{COURSE}}}/rules", change_rules),
        web.get(f"/api/courses/{{id:{COURSE}}}/audits", audits),
        web.post(f"/api/courses/{{id:{COURSE}}}/sessions/{{session:{ID}}}/acts", act),
        web.get(f"/api/courses/{{id:{COURSE}}}/acts", acts),
    ]


async def rules(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    course = await request.app[keys.CLASSROOM].course(request.match_info["id"], user.id)
    return web.json_response(_rules(course))


async def change_rules(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    wanted = await read_body(request)
    course = await request.app[keys.CLASSROOM].rule(request.match_info["id"], user.id, wanted)
    return web.json_response(_rules(course))


async def audits(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    found = await request.app[keys.CLASSROOM].audits(request.match_info["id"], user.id)
    return web.json_response({"audits": [_account(each) for each in found]})


async def act(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    wanted = (await read_body(request)).get("act")
    course, session = request.match_info["id"], request.match_info["session"]
    await request.app[keys.ACTS].do(user.id, course, session, str(wanted))
    return web.json_response({}, status=202)


async def acts(request: web.Request) -> web.Response:
    user = await auth.signed_in(request)
    found = await request.app[keys.ACTS].of_course(request.match_info["id"], user.id)
    return web.json_response({"acts": [_act(each) for each in found]})


def _rules(course: Course) -> dict[str, str]:
    return {"watching": course.watching, "assisting": course.assisting}


def _act(act: Act) -> dict[str, Any]:
    return {
        "id": act.id,
        "who": act.who_name,
        "whom": act.whom_name,
        "session": act.session_id,
        "lesson": act.lesson_title,
        "act": act.act,
        "at": act.at.isoformat(),
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "who": account.who_name,
        "whom": account.whom_name,
        "session": account.session_id,
        "terminal": account.terminal_id,
        "role": account.role,
        "from": account.began.isoformat(),
        "to": account.ended.isoformat(),
        "bytes": account.bytes,
    }
