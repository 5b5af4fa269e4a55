"""Which shared stack a test run gets: containers where Docker is reachable, else local processes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from docker.errors import DockerException
from support.containers import container_stack
from support.stack import Stack, local_stack
from testcontainers.core.exceptions import ContainerStartException

from metering.dev.docker import daemon_answers


@asynccontextmanager
async def shared_stack(say: Callable[[str], None]) -> AsyncIterator[Stack]:
    """The servers of one test run; `say` is told in a sentence which ones they are."""
    async with AsyncExitStack() as opened:
        stack = await _open(opened, say)
        say(f"Kafka and Postgres ran as {stack.description}.")
        yield stack


async def _open(opened: AsyncExitStack, say: Callable[[str], None]) -> Stack:
    if daemon_answers():
        try:
            return await opened.enter_async_context(container_stack())
        except (DockerException, ContainerStartException) as failure:
            say(f"Docker is reachable but cannot run them, so they are local processes: {failure}")
    return await opened.enter_async_context(local_stack())
