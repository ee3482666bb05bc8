"""The names of all keys. A room's keys share a hash tag, so that a cluster keeps them together.

    <p>:schema                       version of all this, without a time to live
    <p>:nodes                        sorted set of node ids by when they expire
    <p>:node:{<id>}                  JSON, lives a few heartbeats; <p>:node:{<id>}:epoch the last epoch, lives longer
    <p>:rooms                        sorted set of room names by when they expire
    <p>:room:{<room>}                JSON: owner and epoch; :epoch the last epoch, :config, :context (secret),
                                 :home the node that has it, or had it when it died
    <p>:{revoked}:since              sorted set of revoked tokens, in the order in which they were written
    <p>:{removed}:since              the same of identities that are banned from a room
    <p>:events                       stream

Only the schema, the stream and the sets of revoked tokens have no time to live; the latter two have a cap.

A room's name is percent-encoded, so a brace in it cannot end the tag, nor a colon look like another key.
"""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Keys:
    """All under one prefix, which has no brace.

    >>> Keys("p").room("a}b:c")
    'p:room:{a%7Db%3Ac}'
    """

    prefix: str

    @property
    def schema(self) -> str:
        """Version of the schema."""
        return f"{self.prefix}:schema"

    @property
    def nodes(self) -> str:
        """Index of nodes."""
        return f"{self.prefix}:nodes"

    @property
    def rooms(self) -> str:
        """Index of rooms."""
        return f"{self.prefix}:rooms"

    @property
    def events(self) -> str:
        """The event stream."""
        return f"{self.prefix}:events"

    @property
    def revoked(self) -> str:
        """Revocations by operators."""
        return f"{self.prefix}:{{revoked}}:since"

    @property
    def removed(self) -> str:
        """Identities that are banned from a room."""
        return f"{self.prefix}:{{removed}}:since"

    def node(self, id_: str) -> str:
        """One node."""
        return f"{self.prefix}:node:{{{quote(id_, safe='')}}}"

    def room(self, name: str) -> str:
        """One room."""
        return f"{self.prefix}:room:{{{quote(name, safe='')}}}"

    @staticmethod
    def epoch(key: str) -> str:
        """The last epoch of a node or room, which outlives it."""
        return f"{key}:epoch"

    @staticmethod
    def config(room_key: str) -> str:
        """A room's configuration."""
        return f"{room_key}:config"

    @staticmethod
    def context(room_key: str) -> str:
        """A room's secret identity."""
        return f"{room_key}:context"

    @staticmethod
    def home(room_key: str) -> str:
        """The node to ask for a room."""
        return f"{room_key}:home"
