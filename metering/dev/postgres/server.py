"""One local Postgres: started, stopped, crashed, frozen and started again in place."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from metering.dev.accounts import Account, running_as, server_account
from metering.dev.conditions import until
from metering.dev.errors import StackError
from metering.dev.ports import free_ports
from metering.dev.postgres.binaries import postgres_programs
from metering.dev.postgres.readiness import accepts_queries
from metering.dev.processes import ServerProcess, not_started

USER: Final = "postgres"
_START_S: Final = 60.0
_STOP_S: Final = 30.0
_STOP_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# As durable as production, but with room enough that a test does not wait for checkpoints.
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "pglz",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "256MB",
    "log_line_prefix": "%m [%p] %q%a ",
}


class _Description(msgspec.Struct, frozen=True):
    port: int
    password: str
    data: str


class PostgresServer:
    """One server, in a directory of its own: password, data, log and process identity."""

    def __init__(self, description: _Description, directory: Path) -> None:
        self.log = directory / "server.log"
        self._description = description
        self._identity_file = directory / "process.json"
        self._process = ServerProcess.find(self._identity_file)

    @classmethod
    def create(cls, directory: Path) -> Self:
        """Make a new, empty server in `directory`; nothing runs yet.

        Raises:
            StackError: `postgres_missing`, `no_account` or `not_started`.
        """
        account = server_account()
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        data = _data_dir(directory, account)
        description = _Description(port=free_ports(1)[0], password=secrets.token_urlsafe(16), data=str(data))
        _initialise(data, description.password, account)
        server_file = _server_file(directory)
        server_file.touch(mode=0o600)
        server_file.write_bytes(msgspec.json.encode(description))
        return cls(description, directory)

    @classmethod
    def open(cls, directory: Path) -> Self | None:
        """Find the server that was made in `directory`, running or not."""
        try:
            written = _server_file(directory).read_bytes()
        except FileNotFoundError:
            return None
        return cls(msgspec.json.decode(written, type=_Description), directory)

    @property
    def name(self) -> str:
        """What it is called in a list of servers."""
        return "postgres"

    @property
    def address(self) -> str:
        """Where it listens, without secrets."""
        return f"127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1; the same after every restart."""
        return self._description.port

    @property
    def data(self) -> Path:
        """Its data directory; outside its own directory when the server's account cannot reach that."""
        return Path(self._description.data)

    @property
    def pid(self) -> int | None:
        """The server's first process, if it runs."""
        return self._process.pid if self._process is not None and self._process.alive() else None

    def dsn(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Give the superuser's address of `database`; `port` for a proxy that stands before the server."""
        password = self._description.password
        return f"postgresql://{USER}:{password}@127.0.0.1:{port or self.port}/{database}"

    async def answers(self) -> bool:
        """Tell whether it accepts queries now."""
        return await accepts_queries(self.dsn())

    async def start(self) -> None:
        """Start the server on its port with its data, and wait until it answers.

        Raises:
            StackError: `not_started`, when the process ends or takes too long.
        """
        if self.pid is None:
            account = server_account()
            settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
            program = str(postgres_programs(account) / "postgres")
            self._process = ServerProcess.spawn(
                [program, "-D", self._description.data, "-p", str(self.port), *settings],
                log=self.log,
                identity_file=self._identity_file,
                account=account,
            )
        await self._ready()

    async def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server: `fast` ends sessions in good order, `immediate` leaves recovery to the next start.

        Raises:
            StackError: `not_stopped`, when it still runs after the deadline.
        """
        if self._process is None:
            return
        self._process.thaw()
        self._process.send_signal(_STOP_SIGNALS[mode])
        if not await self._process.ended(_STOP_S):
            raise StackError("not_stopped", f"Postgres does not stop; see {self.log}.")
        self._process = None

    def kill(self) -> None:
        """End the server and all of its sessions at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def freeze(self) -> None:
        """Stop the server and its sessions in their tracks (SIGSTOP): connections stay open and silent."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        if self._process is not None:
            self._process.thaw()

    def remove(self) -> None:
        """End the server at once and delete its data."""
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)

    async def _ready(self) -> None:
        process = self._process
        if process is None or not await until(self.answers, while_=process.alive, deadline_s=_START_S):
            raise not_started("Postgres", self.log)


def _server_file(directory: Path) -> Path:
    return directory / "server.json"


def _data_dir(directory: Path, account: Account | None) -> Path:
    """Make an empty data directory that `account` reaches: in `directory`, or else a temporary one."""
    data = directory / "data"
    shutil.rmtree(data, ignore_errors=True)  # of a set-up that was cut short: it has no description yet
    data.mkdir(mode=0o700)
    if account is None or account.owns(data):
        return data
    data.rmdir()
    elsewhere = Path(tempfile.mkdtemp(prefix="metering-postgres-"))
    if account.owns(elsewhere):
        return elsewhere
    raise StackError("no_account", f"The account `{account.name}` can write neither {data} nor {elsewhere}.")


def _initialise(data: Path, password: str, account: Account | None) -> None:
    with tempfile.NamedTemporaryFile("w") as password_file:
        password_file.write(password)
        password_file.flush()
        if account is not None:
            os.fchown(password_file.fileno(), account.uid, account.gid)
        command = [
            str(postgres_programs(account) / "initdb"), "-D", str(data), "-U", USER,
            "--auth=scram-sha-256", f"--pwfile={password_file.name}", "--encoding=UTF8",
            "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(  # noqa: S603
            command, check=False, capture_output=True, text=True, cwd="/", **running_as(account)
        )
    if made.returncode != 0:
        raise StackError("not_started", f"Postgres could not be set up:\n{made.stdout}{made.stderr}")
