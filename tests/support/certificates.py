"""Certificates as a small authority issues them, in their time or past it."""

import subprocess
from pathlib import Path
from typing import Final

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Vouches for servers on this machine."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "authority.pem"
        self._folder = folder
        self._key = folder / "authority.key"
        _openssl("req", "-x509", *_KEY, "-keyout", self._key, "-out", self.file, "-subj", "/CN=authority")

    def certificate(self, name: str, *, days: int) -> tuple[Path, Path]:
        """A certificate of 127.0.0.1 that ends in so many days, or has ended so many ago; and its key."""
        key, request, issued, about = (
            self._folder / f"{name}.{kind}" for kind in ("key", "request", "pem", "about")
        )
        about.write_text("subjectAltName=IP:127.0.0.1\n")
        _openssl("req", *_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", about, "-out", issued),
        )
        return issued, key


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
