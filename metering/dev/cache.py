"""What is fetched once and kept between stacks, outside the checkout."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """Give the directory for fetched things: METERING_CACHE_DIR, or `~/.cache/metering`."""
    named = os.environ.get("METERING_CACHE_DIR")
    return Path(named).absolute() if named else Path.home() / ".cache" / "metering"


@contextmanager
def locked(lock_file: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; it is let go even when its holder is killed."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def built_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Give `target`, built by `build(empty directory)` if it is not there yet.

    Two starts at once build it once, and a build that is cut short leaves nothing that looks finished.
    """
    with locked(target.with_name(f".{target.name}.lock")):
        if not target.exists():
            unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            try:
                build(unfinished)
                unfinished.chmod(0o755)
                unfinished.rename(target)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return target
