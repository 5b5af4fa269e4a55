"""Which partition a subject's events belong to."""

from typing import Final

from schemas.partitioner import PARTITIONERS
from schemas.topic import TopicContract

CACHED_SUBJECTS: Final = 65_536


class Placement:
    """The topic's partitioner, remembered by subject: it is pure Python, and slow."""

    def __init__(self, contract: TopicContract) -> None:
        self._partition_of_key = PARTITIONERS[contract.partitioner]
        self._partitions = contract.partitions
        self._remembered: dict[str, int] = {}

    def partition_of(self, subject: str) -> int:
        """Give the partition that every event of this subject is in."""
        partition = self._remembered.get(subject)
        if partition is None:
            if len(self._remembered) >= CACHED_SUBJECTS:
                self._remembered.clear()
            partition = self._partition_of_key(subject.encode(), self._partitions)
            self._remembered[subject] = partition
        return partition
