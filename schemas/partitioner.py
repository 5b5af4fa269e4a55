"""Which partition a key belongs to, as the two common families of Kafka clients compute it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from zlib import crc32

PartitionerName: TypeAlias = Literal["murmur2", "crc32"]

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_32_BITS: Final = 0xFFFFFFFF
_31_BITS: Final = 0x7FFFFFFF


def murmur2_partition(key: bytes, partitions: int) -> int:
    """The partition that Java clients and aiokafka choose.

    Source: Kafka's `BuiltInPartitioner.partitionForKey`, `Utils.toPositive(Utils.murmur2(key)) % n`.
    """
    return (_murmur2(key) & _31_BITS) % partitions


def crc32_partition(key: bytes, partitions: int) -> int:
    """The partition that librdkafka's default, `consistent_random`, chooses for a key that is not empty.

    Source: librdkafka's `rd_kafka_msg_partitioner_consistent`, zlib's CRC-32 modulo n.
    """
    return crc32(key) % partitions


PARTITIONERS: Final[Mapping[PartitionerName, Callable[[bytes, int], int]]] = MappingProxyType(
    {"murmur2": murmur2_partition, "crc32": crc32_partition}
)
"""The partitioners a topic's contract can name, each `(key, number of partitions) -> partition`."""


def _murmur2(key: bytes) -> int:
    """Austin Appleby's MurmurHash2 with Kafka's seed, unsigned 32 bits."""
    whole = len(key) & ~3
    digest = _SEED ^ len(key)
    for start in range(0, whole, 4):
        word = int.from_bytes(key[start : start + 4], "little") * _MULTIPLIER & _32_BITS
        word = (word ^ word >> 24) * _MULTIPLIER & _32_BITS
        digest = (digest * _MULTIPLIER & _32_BITS) ^ word
    if whole < len(key):
        digest = (digest ^ int.from_bytes(key[whole:], "little")) * _MULTIPLIER & _32_BITS
    digest = (digest ^ digest >> 13) * _MULTIPLIER & _32_BITS
    return digest ^ digest >> 15
