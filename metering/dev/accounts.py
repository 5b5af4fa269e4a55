"""The unprivileged account that Postgres runs under when we are root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from metering.dev.errors import StackError

_CANDIDATES: Final = ("postgres", "nobody")


class PopenArguments(TypedDict, total=False):
    """What `subprocess` needs to run a command under an account; nothing, to run it as ourselves."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """One operating-system account."""

    name: str
    uid: int
    gid: int

    def owns(self, directory: Path) -> bool:
        """Give `directory` to the account and tell whether it can work there, by trying it as the account."""
        os.chown(directory, self.uid, self.gid)
        test = ["test", "-w", str(directory)]
        tried = subprocess.run(test, check=False, cwd="/", **running_as(self))  # noqa: S603
        return tried.returncode == 0


def running_as(account: Account | None) -> PopenArguments:
    """Give the keyword arguments that make `subprocess` drop to `account`; None stays as we are."""
    if account is None:
        return PopenArguments()
    return PopenArguments(user=account.uid, group=account.gid, extra_groups=[])


def server_account() -> Account | None:
    """Choose the account to drop to; None when we are not root and run servers as ourselves.

    Raises:
        StackError: `no_account`, when we are root and there is none to drop to.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise StackError(
        "no_account",
        "Postgres does not run as root: make an account named `postgres`, or run this as another user.",
    )
