"""Who decides: the name that is kept with a decision."""

import getpass
import socket
from typing import Annotated

from cyclopts import Parameter

Who = Annotated[str | None, Parameter(help="Who decides this; by default the login and the machine.")]


def decided_by(who: str | None) -> str:
    """Name the person at the keyboard."""
    if who:
        return who
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        login = "unknown"
    return f"{login}@{socket.gethostname()}"
