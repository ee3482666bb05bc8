"""What a load client received, slot by slot: whose contributor id the packets named, and whose stamp they carried.

A slot is known by the MID extension of its packets, else by its SSRC from an earlier packet or from the offer. Only
changes are kept, so an hour of one speaker is one entry; counters tell the rest.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtest.peer.media import is_key_frame
from loadtest.peer.room_offer import MID, RoomOffer
from loadtest.peer.rtp import RtpPacket, Stamp

MAX_CHANGES = 100_000


@dataclass(frozen=True, slots=True)
class Shown:
    """From `time_s` on, the slot showed this."""

    time_s: float
    mid: str
    contributor: int | None
    """The last CSRC of the packet."""
    sender: int | None
    """Of the stamp."""
    key_frame: bool


@dataclass(slots=True)
class Reception:
    """All slots of one client."""

    offer: RoomOffer
    changes: list[Shown] = field(default_factory=list)
    current: dict[str, Shown] = field(default_factory=dict)
    packets: Counter[str] = field(default_factory=Counter)
    last_s: dict[str, float] = field(default_factory=dict)
    """When the last packet came, by mid."""
    delays_s: dict[str, float] = field(default_factory=dict)
    """The longest way of a packet since the last reading, by mid."""
    unknown: int = 0
    on_change: Callable[[Shown], None] | None = None
    _mids: dict[int, str] = field(default_factory=dict)
    _mid_ids: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for line in self.offer.media:
            self._mids |= dict.fromkeys(line.ssrcs, line.mid)
            self._mid_ids |= {line.extensions[MID]} if MID in line.extensions else set()

    def handle_rtp(self, data: bytes, now_s: float) -> None:
        """One decrypted packet."""
        packet = RtpPacket.parse(data)
        mid = self._find_mid(packet)
        if mid is None:
            self.unknown += 1
            return
        stamp = Stamp.parse(packet.payload)
        self.packets[mid] += 1
        self.last_s[mid] = now_s
        if stamp is None:
            # Padding to probe the path carries no stamp and says nothing about the slot.
            return
        self.delays_s[mid] = max(self.delays_s.get(mid, 0), now_s - stamp.sent_at_s)
        contributor = packet.csrcs[-1] if packet.csrcs else None
        before = self.current.get(mid)
        if before is None or (before.contributor, before.sender) != (contributor, stamp.sender):
            self._change(Shown(now_s, mid, contributor, stamp.sender, is_key_frame(packet.payload)))

    def senders(self, kind: str, since_s: float) -> set[int]:
        """Whose stamps the slots of a kind carry that had a packet since then."""
        mids = (mid for mid in self.offer.slots(kind) if self.last_s.get(mid, -1.0) >= since_s)
        return {shown.sender for mid in mids if (shown := self.current.get(mid)) and shown.sender is not None}

    def _change(self, shown: Shown) -> None:
        self.current[shown.mid] = shown
        if len(self.changes) < MAX_CHANGES:
            self.changes.append(shown)
        if self.on_change:
            self.on_change(shown)

    def _find_mid(self, packet: RtpPacket) -> str | None:
        for number in self._mid_ids & packet.extensions.keys():
            self._mids[packet.ssrc] = packet.extensions[number].decode(errors="replace")
        return self._mids.get(packet.ssrc)
