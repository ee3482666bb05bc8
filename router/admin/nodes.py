"""`/v1/nodes` and `/v1/nodes/{node}`: the routers that share the store, this one true in the moment it is asked."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from router.admin.schemas import Body
from router.admin.state import State
from router.cluster.entries import NodeEntry
from router.cluster.peers import Peers
from router.cluster.redis_errors import StoreError
from router.errors import NotFoundError

router = APIRouter(prefix="/v1/nodes", tags=["nodes"])


EXAMPLE: JsonDict = {
    "id": "N_1a2b3c4d5e6f7081",
    "epoch": 1795867200000,
    "state": "serving",
    "here": True,
    "version": "0.1.0",
    "region": "eu",
    "load": 0.31,
    "rooms": 3,
    "participants": 12,
    "public_url": "https://sfu-1.example.org",
    "admin_url": "http://10.1.2.3:8081",
    "started_at": "2026-11-28T11:00:00Z",
    "seen_at": "2026-11-28T12:00:00Z",
}


class NodeBody(Body):
    """One router."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    epoch: int = Field(description="Of this life of it; 0: not registered yet.")
    state: Literal["serving", "draining"]
    here: bool = Field(description="It is the one that answers.")
    version: str
    region: str
    load: float = Field(description="Of its busiest engine thread; 1 is full.")
    rooms: int
    participants: int
    public_url: str
    admin_url: str
    started_at: datetime
    seen_at: datetime = Field(description="Its last heartbeat, by its own clock; they come once a second.")

    @classmethod
    def of(cls, node: NodeEntry, peers: Peers) -> "NodeBody":
        """As it said of itself."""
        return cls(
            id=node.id,
            epoch=node.epoch,
            state=node.state,
            here=node.id == peers.id,
            version=node.version,
            region=node.region,
            load=node.load,
            rooms=node.rooms,
            participants=node.participants,
            public_url=node.public_url,
            admin_url=node.admin_url,
            started_at=datetime.fromtimestamp(node.started_s, UTC),
            seen_at=datetime.fromtimestamp(node.seen_s, UTC),
        )


class NodeList(Body):
    """By id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [EXAMPLE], "complete": True}]})

    items: list[NodeBody]
    complete: bool = Field(description="false: the store does not answer, and this is only the node that was asked.")


def find_peers(state: State) -> Peers:
    """The nodes; a FastAPI dependency."""
    if state.peers is None:
        raise NotFoundError("this application is part of no node", slug="unknown-path")
    return state.peers


def check_node(node: str, state: State) -> None:
    """Refuses another node's name: requests for those that are known have been passed on before; a dependency."""
    if state.peers is None or node != state.peers.id:
        raise NotFoundError("no such node", slug="unknown-node")


FoundPeers = Annotated[Peers, Depends(find_peers)]


@router.get("", summary="Nodes with their load")
async def list_nodes(peers: FoundPeers) -> NodeList:
    """All that are alive, those that drain among them."""
    try:
        return NodeList(items=[NodeBody.of(node, peers) for node in await peers.read_nodes()], complete=True)
    except StoreError:
        return NodeList(items=[NodeBody.of(peers.describe_this(), peers)], complete=False)


@router.get("/{node}", summary="One node")
async def read_node(node: str, peers: FoundPeers) -> NodeBody:
    """The node. 503 for another one while the store does not answer."""
    found = await peers.find_node(node)
    if found is None:
        raise NotFoundError("no such node", slug="unknown-node")
    return NodeBody.of(found, peers)
