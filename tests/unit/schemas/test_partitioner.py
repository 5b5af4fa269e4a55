"""Partitions are those that the clients choose."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitioner import PARTITIONERS, crc32_partition, murmur2_partition

ALL_HASHES = 2**31


# Apache Kafka's own vectors: clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2.
@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, murmur2: int) -> None:
    assert murmur2_partition(key, ALL_HASHES) == murmur2 & (ALL_HASHES - 1)


@given(st.binary(max_size=40), st.integers(1, 300))
def test_murmur2_is_aiokafkas(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert murmur2_partition(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


# librdkafka's rdcrc32 is the CRC-32 of zlib; its check value is that of the CRC catalogue's CRC-32/ISO-HDLC.
def test_crc32_is_librdkafkas() -> None:
    assert crc32_partition(b"123456789", 2**32) == 0xCBF43926
    assert crc32_partition(b"123456789", 6) == 0xCBF43926 % 6


@pytest.mark.parametrize("partition", PARTITIONERS.values())
@given(key=st.binary(), partitions=st.integers(1, 100))
def test_a_partition_exists(partition: type, key: bytes, partitions: int) -> None:
    assert 0 <= partition(key, partitions) < partitions
