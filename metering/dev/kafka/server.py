"""One broker of a local Kafka cluster: started, stopped, killed, frozen and started again in place."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from metering.dev.conditions import until
from metering.dev.errors import StackError
from metering.dev.kafka.jvm import java_command
from metering.dev.kafka.layout import Layout, Node, server_properties
from metering.dev.kafka.readiness import live_brokers
from metering.dev.processes import ServerProcess, not_started

_START_S: Final = 60.0
_STOP_S: Final = 30.0
_TOOL_HEAP_MB: Final = 64


class KafkaServer:
    """One node of a cluster, in a directory of its own: settings, data, log and process identity."""

    def __init__(
        self, layout: Layout, node: Node, directory: Path, *, jvm_options: Sequence[str] = ()
    ) -> None:
        self.node = node
        self.log = directory / "server.log"
        self._layout = layout
        self._jvm_options = jvm_options
        self._directory = directory
        self._identity_file = directory / "process.json"
        self._process = ServerProcess.find(self._identity_file)

    @property
    def name(self) -> str:
        """What it is called in a list of servers."""
        return f"kafka {self.node.id}"

    @property
    def address(self) -> str:
        """Where clients connect; the same after every restart."""
        return self.node.address

    @property
    def pid(self) -> int | None:
        """The broker's process, if it runs."""
        return self._process.pid if self._process is not None and self._process.alive() else None

    async def answers(self) -> bool:
        """Tell whether the broker answers now, and the cluster counts it as alive."""
        return self.node.id in await live_brokers(self.address)

    def spawn(self) -> None:
        """Start the process if it does not run; `ready` tells when it serves."""
        if self.pid is not None:
            return
        properties = self._directory / "server.properties"
        data, temporary = self._directory / "data", self._directory / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        properties.write_text(server_properties(self._layout, self.node, data))
        if not (data / "meta.properties").exists():
            self._format(properties)
        self._process = ServerProcess.spawn(
            [
                *java_command(self._layout.heap_mb),
                f"-Djava.io.tmpdir={temporary}",  # a killed broker leaves its unpacked libraries there
                *self._jvm_options,
                "kafka.Kafka",
                str(properties),
            ],
            log=self.log,
            identity_file=self._identity_file,
        )

    async def ready(self) -> None:
        """Wait until the broker serves clients and has been let into the cluster.

        Raises:
            StackError: `not_started`, when the process ends or takes too long.
        """
        process = self._process
        if process is None or not await until(self.answers, while_=process.alive, deadline_s=_START_S):
            raise not_started(f"Kafka broker {self.node.id}", self.log)

    async def start(self) -> None:
        """Start the broker on its ports with its data, and wait until it serves."""
        self.spawn()
        await self.ready()

    async def stop(self) -> None:
        """Shut the broker down in good order (SIGTERM): it hands its partitions over first.

        Raises:
            StackError: `not_stopped`, when it still runs after the deadline.
        """
        if self._process is None:
            return
        self._process.thaw()
        self._process.send_signal(signal.SIGTERM)
        if not await self._process.ended(_STOP_S):
            raise StackError("not_stopped", f"Kafka broker {self.node.id} does not stop; see {self.log}.")
        self._process = None

    def kill(self) -> None:
        """End the broker at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def freeze(self) -> None:
        """Stop the broker in its tracks (SIGSTOP): its connections stay open and silent."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen broker go on (SIGCONT)."""
        if self._process is not None:
            self._process.thaw()

    def _format(self, properties: Path) -> None:
        cluster = f"--cluster-id={self._layout.cluster_id}"  # in one word, for an id may begin with a dash
        tool = ["kafka.tools.StorageTool", "format", cluster, "-c", str(properties)]
        formatted = subprocess.run(  # noqa: S603
            [*java_command(_TOOL_HEAP_MB), *tool], check=False, capture_output=True, text=True
        )
        if formatted.returncode != 0:
            said = formatted.stdout + formatted.stderr
            raise StackError("not_started", f"Kafka's storage could not be formatted:\n{said}")
