"""`/nodes/{node}/rooms?name=…`: who has some rooms, for other nodes that ask (`router.admin.node_questions`).

It is no part of the API: its version is the routers' own, and it counts against nobody's rate, for a question that is
refused would be taken for the answer of a dead node. Whoever asks shows a node's proof, or an admin token.
"""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from router.admin.auth import authenticate
from router.admin.nodes import FoundPeers, check_node
from router.admin.state import State
from router.cluster.told import MAX_ROOMS, write_told
from router.rooms.names import MAX_NAME_CHARACTERS

PATH: Final = "/nodes/{node}/rooms"


def check_asker(request: Request, state: State) -> None:
    """A dependency."""
    authenticate(request, state)


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Names = Annotated[list[Name], Query(min_length=1, max_length=MAX_ROOMS)]
router = APIRouter(include_in_schema=False, dependencies=[Depends(check_asker), Depends(check_node)])


@router.get(PATH)
async def tell_rooms(name: Names, peers: FoundPeers) -> JSONResponse:
    """In order of the question; at once, or as soon as the store answers, which it is not waited for long."""
    told = await asyncio.gather(*map(peers.tell, name))
    here = peers.describe_this()
    return JSONResponse(write_told(here.address, here.state == "serving", here.load, told))
