"""Whether a node that misses heartbeats is dead, before its entry expires.

Silence alone says little: the store may be slow, or the node cut off from it while its calls go on. So a silent node is
asked for by TCP at its admin port, and only if its host answers that nobody listens there (RFC 9293 section 3.5.2: a
reset) its process is gone, and the rooms it had may be opened elsewhere. A host that says nothing proves nothing, and a
stopped process's kernel still accepts: then all wait until the entry expires, or the node speaks.
"""

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from router.cluster.entries import Owner

SILENT_S: Final = 2.5
"""Two heartbeats in a row did not come."""
ANSWER_TIMEOUT_S: Final = 0.3


async def is_dead(owner: Owner) -> bool:
    """True only where its host says so."""
    return owner.silent_s >= SILENT_S and await _is_refused(owner.node.admin_url)


async def _is_refused(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts.hostname or "", port)
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        # A name that does not resolve, no route, no answer in time (TimeoutError), an odd URL from the store.
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return False
