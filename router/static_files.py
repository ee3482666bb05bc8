"""Files of a web page with entity tags (RFC 9110 section 8.8.3): those of the demo room, and those of the dashboard."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from router.errors import NotFoundError


class StaticFiles:
    """Serves the files of a table from one folder, read anew when they change.

    The table has path, name and media type. Nothing else is ever read, so no path can leave the folder.
    """

    def __init__(
        self, root: Path, files: Mapping[str, tuple[str, str]], headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._root = root
        self._files = files
        self._headers = {**headers, "Cache-Control": "no-cache"}
        self._cache: dict[str, tuple[int, bytes, str]] = {}

    async def get(self, request: Request) -> Response:
        """One file, or 304 for a client that has it."""
        path: str = request.scope["path"]
        # An application may be mounted below a prefix of another one.
        name, media_type = self._files[path.removeprefix(request.scope.get("root_path", ""))]
        body, etag = self._read(name)
        headers = {**self._headers, "ETag": etag}
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if etag in known:
            return Response(status_code=304, headers=headers)
        return Response(body, headers={**headers, "Content-Type": media_type})

    def _read(self, name: str) -> tuple[bytes, str]:
        file = self._root / name
        try:
            modified = file.stat().st_mtime_ns
            cached = self._cache.get(name)
            if cached is None or cached[0] != modified:
                body = file.read_bytes()
                cached = self._cache[name] = (modified, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        except OSError as error:
            raise NotFoundError("this file is not installed", slug="unknown-path") from error
        return cached[1], cached[2]
