"""What is fetched once is there whole or not at all, also when two start at once."""

import threading
from pathlib import Path

import pytest

from metering.dev.cache import built_once


def test_two_starts_at_once_build_once(tmp_path: Path) -> None:
    builds: list[Path] = []
    both_started = threading.Barrier(2)

    def build(directory: Path) -> None:
        builds.append(directory)
        (directory / "part").touch()

    def start() -> None:
        both_started.wait()
        built_once(tmp_path / "thing", build)

    starts = [threading.Thread(target=start) for _ in range(2)]
    for each in starts:
        each.start()
    for each in starts:
        each.join()
    assert len(builds) == 1
    assert (tmp_path / "thing" / "part").exists()


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def break_off(directory: Path) -> None:
        (directory / "part").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        built_once(tmp_path / "thing", break_off)
    assert [path.name for path in tmp_path.iterdir()] == [".thing.lock"]
