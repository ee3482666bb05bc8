"""A FastAPI application with its own users that mounts the router and lets them meet: one process, one port for HTTP.

    ROUTER_AUTH__SECRETS=$(openssl rand -hex 32) ROUTER_ADMIN__TOKEN=$(openssl rand -hex 16) \\
      uvicorn router.examples.embedded:make_app --factory

or `python -m router.examples.embedded [PORT]`. Users sign in by name only: put your own sign-in there.
"""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import uvicorn
from fastapi import Body, Cookie, Depends, FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse

from router.embedding import EmbeddedRouter

ROOM: Final = "meeting"
PAGE: Final = Path(__file__).with_name("embedded.html")


def current_user(user: Annotated[str | None, Cookie()] = None) -> str:
    """Who asks, by your own session; here by a cookie that anybody can write."""
    if not user:
        raise HTTPException(401, "sign in first")
    return user


User = Annotated[str, Depends(current_user)]


def make_app() -> FastAPI:
    """The application. A drain that is over ends it as SIGTERM does, which uvicorn knows."""
    router = EmbeddedRouter(on_drained=lambda: signal.raise_signal(signal.SIGTERM))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with router:
            yield

    app = FastAPI(lifespan=lifespan)
    router.mount(app, "/media")

    @app.get("/")
    async def show_page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    @app.post("/sign-in", status_code=204)
    async def sign_in(name: Annotated[str, Body(pattern=r"^[A-Za-z0-9]{1,32}$")], answer: Response) -> None:
        answer.set_cookie("user", name, httponly=True, samesite="strict")

    @app.post("/join")
    async def join(user: User) -> dict[str, str]:
        """Your rights become the token's: here everybody may publish, and ada may moderate."""
        token = router.issue_token(ROOM, user, user.title(), lifetime_s=3600, may_moderate=user == "ada")
        return {"room": ROOM, "token": token}

    @app.get("/people")
    async def list_people(_user: User) -> list[dict[str, Any]]:
        """The rooms are objects of this process: no request, no delay."""
        room = router.rooms.rooms.get(ROOM)
        people = room.participants.values() if room else ()
        return [
            {"user": person.identity, "sends": [track.source for track in person.tracks if track.live]}
            for person in people
        ]

    return app


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    uvicorn.run(make_app(), port=port, ws_max_size=65_536, ws_per_message_deflate=False, timeout_graceful_shutdown=5)
