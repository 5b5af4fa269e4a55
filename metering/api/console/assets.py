"""The console's own style sheet, script and icon: there is nothing that comes from elsewhere."""

from hashlib import sha256
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response

router: Final = APIRouter()

_FOLDER: Final = files(__package__).joinpath("static")
_TYPES: Final = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "console.svg": "image/svg+xml",
}
_CONTENTS: Final = {name: _FOLDER.joinpath(name).read_bytes() for name in _TYPES}
VERSION: Final = sha256(b"".join(_CONTENTS.values())).hexdigest()[:12]
"""Stands in the addresses that pages name, so that browsers may keep what they have."""

_HEADERS: Final = {
    "cache-control": "public, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
}


def _serve(name: str) -> None:
    @router.get(f"/{name}")
    async def asset() -> Response:
        return Response(_CONTENTS[name], media_type=_TYPES[name], headers=_HEADERS)


for _name in _TYPES:
    _serve(_name)
