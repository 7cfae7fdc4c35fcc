"""Teaching: the API's part for instructors that isn't about a moment: a course's rules, and who typed for whom."""

from typing import Any

from aiohttp import web

from server import auth, keys
from server.bodies import read_body
from terminals.store.audits import Account
from terminals.store.courses import COURSE, Course


def routes() -> list[web.RouteDef]:
    """Every call of this part."""
    return [
        web.get(f"/api/courses/{{id:{COURSE}}}/rules", rules),
        web.patch(f"/api/courses/{{id:{COURSE}}}/rules", change_rules),
        web.get(f"/api/courses/{{id:{COURSE}}}/audits", audits),
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


def _rules(course: Course) -> dict[str, str]:
    return {"watching": course.watching, "assisting": course.assisting}


def _account(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "who": account.who_name,
        "whom": account.whom_name,
        "session": account.session_id,
        "terminal": account.terminal_id or None,
        "role": account.role,
        "from": account.began.isoformat(),
        "to": account.ended.isoformat(),
        "bytes": account.bytes,
    }
