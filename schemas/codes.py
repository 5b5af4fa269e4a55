"""Every outcome and every refusal, by its stable code, with the sentence that says what to do."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class RecordOutcome(StrEnum):
    """What became of a Kafka offset: each has exactly one of these."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    TICK = "tick"
    GAP = "gap"
    LOST = "lost"


class MeterOutcome(StrEnum):
    """What became of an accepted event for one meter version that it matched: exactly one of these."""

    INCREMENT = "increment"
    ADJUSTMENT = "adjustment"
    VOID = "void"
    METER_ERROR = "meter_error"


class Code(StrEnum):
    """Why something was refused or stopped. Codes are stored and scripted against: never rename one."""

    # The event itself (schemas.wire.decode).
    NO_VALUE = "no_value"
    OVERSIZE = "oversize"
    BAD_UTF8 = "bad_utf8"
    NOT_JSON = "not_json"
    NESTED_TOO_DEEPLY = "nested_too_deeply"
    NOT_AN_OBJECT = "not_an_object"
    NUL_CHARACTER = "nul_character"
    BAD_CONTENT_TYPE = "bad_content_type"
    MISSING_ATTRIBUTE = "missing_attribute"
    BAD_ATTRIBUTE = "bad_attribute"
    BAD_SPECVERSION = "bad_specversion"
    EMPTY_ID = "empty_id"
    ID_TOO_LONG = "id_too_long"
    EMPTY_SOURCE = "empty_source"
    SOURCE_TOO_LONG = "source_too_long"
    EMPTY_TYPE = "empty_type"
    TYPE_TOO_LONG = "type_too_long"
    RESERVED_TYPE = "reserved_type"
    EMPTY_SUBJECT = "empty_subject"
    SUBJECT_TOO_LONG = "subject_too_long"
    BAD_TIME = "bad_time"
    NAIVE_TIME = "naive_time"
    DATA_NOT_OBJECT = "data_not_object"
    NOT_A_NUMBER = "not_a_number"
    NUMBER_TOO_LONG = "number_too_long"
    EXPONENT_OUT_OF_RANGE = "exponent_out_of_range"
    BAD_REPAIR_HEADER = "bad_repair_header"

    # The decision about a valid event.
    MISPLACED = "misplaced"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    CONFLICT = "conflict"
    STORE_REJECTED = "store_rejected"
    REPAIR_REFUSED_TWICE = "repair_refused_twice"
    TOO_OLD_TO_REPAIR = "too_old_to_repair"
    VOID_UNMATCHED = "void_unmatched"
    VOID_DIFFERS = "void_differs"

    # One meter cannot read an accepted event.
    VALUE_MISSING = "value_missing"
    VALUE_NOT_NUMBER = "value_not_number"
    VALUE_OUT_OF_RANGE = "value_out_of_range"
    GROUP_NOT_SCALAR = "group_not_scalar"
    GROUP_TOO_LONG = "group_too_long"
    MEMBER_MISSING = "member_missing"
    MEMBER_NOT_SCALAR = "member_not_scalar"
    MEMBER_TOO_LONG = "member_too_long"
    VOID_NOT_SUBTRACTABLE = "void_not_subtractable"

    # A partition stops: going on could count wrongly.
    PARTITION_COUNT_CHANGED = "partition_count_changed"
    OFFSET_OUT_OF_RANGE = "offset_out_of_range"
    LOG_REPLACED = "log_replaced"
    CLOCK_JUMP = "clock_jump"
    CREATE_TIME_TOPIC = "create_time_topic"
    CORRUPT_LEDGER = "corrupt_ledger"
    UNDECODABLE_RECORD = "undecodable_record"
    TOPIC_MISMATCH = "topic_mismatch"

    @property
    def runbook(self) -> str:
        """The anchor of this code's section in `docs/runbook.md`."""
        return self.value.replace("_", "-")


class Refused(ValueError):  # noqa: N818 - a refusal is an outcome here, not a fault
    """Something was refused: its stable code, and what exactly was wrong."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def _codes(first: Code, last: Code) -> tuple[Code, ...]:
    codes = tuple(Code)
    return codes[codes.index(first) : codes.index(last) + 1]


EVENT_CODES: Final = _codes(Code.NO_VALUE, Code.BAD_REPAIR_HEADER)
"""Codes of an event that is not valid in itself."""

DECISION_CODES: Final = _codes(Code.MISPLACED, Code.VOID_DIFFERS)
"""Codes of a valid event that is not counted."""

METER_CODES: Final = _codes(Code.VALUE_MISSING, Code.VOID_NOT_SUBTRACTABLE)
"""Codes of an accepted event that one meter cannot read."""

STOP_CODES: Final = _codes(Code.PARTITION_COUNT_CHANGED, Code.TOPIC_MISMATCH)
"""Codes that stop a partition."""

SENTENCES: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.NO_VALUE: "The record has no value (a tombstone): publish the event in the record's value.",
        Code.OVERSIZE: "The value is longer than 262,144 bytes, or key and headers together than 65,536: "
        "send large payloads elsewhere and only the fields that are metered here.",
        Code.BAD_UTF8: "The text is not Unicode (broken UTF-8 or half a surrogate pair): encode JSON and "
        "headers, names and values, as UTF-8.",
        Code.NOT_JSON: "The value is not JSON (RFC 8259): send one JSON text, without a byte order mark or "
        "anything after it.",
        Code.NESTED_TOO_DEEPLY: "The JSON nests deeper than 256 levels: flatten the data.",
        Code.NOT_AN_OBJECT: "The value is JSON but no object: in structured mode it must be one CloudEvent "
        "(batches are not supported).",
        Code.NUL_CHARACTER: "A text contains U+0000, which the database cannot store: remove it.",
        Code.BAD_CONTENT_TYPE: "The content type is not JSON: use `application/cloudevents+json` for "
        "structured mode, `application/json` for binary mode and for `datacontenttype`.",
        Code.MISSING_ATTRIBUTE: "A required attribute is missing: send `specversion`, `id`, `source`, "
        "`type`, `subject` and `time`, as `ce_…` headers in binary mode.",
        Code.BAD_ATTRIBUTE: "An attribute is not a JSON string: send it as text.",
        Code.BAD_SPECVERSION: "The CloudEvents version is not supported: send `specversion` as `1.0`.",
        Code.EMPTY_ID: "`id` is empty: give each event of a source an id of its own, and keep it on retries.",
        Code.ID_TOO_LONG: "`id` is longer than 256 characters: shorten it, for example to a UUID.",
        Code.EMPTY_SOURCE: "`source` is empty: name the service that sends the event.",
        Code.SOURCE_TOO_LONG: "`source` is longer than 256 characters: shorten it.",
        Code.EMPTY_TYPE: "`type` is empty: name the kind of usage, as the meters do.",
        Code.TYPE_TOO_LONG: "`type` is longer than 128 characters: shorten it.",
        Code.RESERVED_TYPE: "Types that begin with `metering.control.` are reserved: choose another type.",
        Code.EMPTY_SUBJECT: "`subject` is empty: name the customer whose usage this is.",
        Code.SUBJECT_TOO_LONG: "`subject` is longer than 256 characters: shorten it.",
        Code.BAD_TIME: "`time` is not an RFC 3339 date-time: send it as in `2026-11-24T03:00:12.5Z` (no "
        "second 60, years 0001 to 9999).",
        Code.NAIVE_TIME: "`time` has no zone: end it with `Z` or an offset such as `+01:00`.",
        Code.DATA_NOT_OBJECT: "`data` is not a JSON object (or is missing, or is `data_base64`): send an "
        "object with the metered fields.",
        Code.NOT_A_NUMBER: "`NaN` and infinities are not JSON: leave the field out or send null.",
        Code.NUMBER_TOO_LONG: "A number has more than 38 significant digits: round it where it is measured.",
        Code.EXPONENT_OUT_OF_RANGE: "A number has digits above 10^38 or below 10^-38: choose a unit in "
        "which it fits.",
        Code.BAD_REPAIR_HEADER: "The `metering-repair` header is not one that this system writes: publish "
        "events without it.",
        Code.MISPLACED: "The record is not in its subject's partition: it is republished there by itself; "
        "key records by `subject` and use the topic's partitioner.",
        Code.TOO_OLD: "The event's time is before the acceptance window, so nobody can tell whether it was "
        "counted: find out why it came so late, correct the producer, and bring it back with `metering "
        "quarantine redrive`: what was counted is then found to be a duplicate.",
        Code.IN_FUTURE: "The event's time is ahead of the log's clock: correct the producer's clock, and "
        "publish the event again with its true time.",
        Code.CONFLICT: "Another event with this source and id, but other content, was counted: give each "
        "event an id of its own; if this one is usage too, publish it again under one.",
        Code.STORE_REJECTED: "The database refused a value of this event: report it, for the contract "
        "should have refused it first; the record is kept.",
        Code.REPAIR_REFUSED_TWICE: "The repair was refused, so the record that it repairs waits again: "
        "correct that one with `metering quarantine fix`, or redrive it once the cause is mended.",
        Code.TOO_OLD_TO_REPAIR: "The event is older than the repair horizon: settle it outside, for example"
        " with a credit.",
        Code.VOID_UNMATCHED: "No event with the source and id that this void names is counted in its "
        "partition: publish the void after its event, under its event's subject, once the event is counted.",
        Code.VOID_DIFFERS: "The event of this source and id that is counted is not the one that this void "
        "repeats: void it with the type, time and bytes of data that were published.",
        Code.VALUE_MISSING: "The meter's value path leads to nothing in this event: send the field, or "
        "narrow the meter's filter.",
        Code.VALUE_NOT_NUMBER: "The meter's value is neither a number nor text of a number: send digits as "
        "JSON writes them.",
        Code.VALUE_OUT_OF_RANGE: "The meter's value has more than 38 significant digits, or digits above "
        "10^38 or below 10^-38: choose another unit.",
        Code.GROUP_NOT_SCALAR: "A group-by path leads to an object or an array: group by a text, a number, "
        "a boolean or null.",
        Code.GROUP_TOO_LONG: "A group-by value is longer than 256 characters: group by something shorter.",
        Code.MEMBER_MISSING: "The unique meter's value path leads to nothing in this event: send the field,"
        " or narrow the meter's filter.",
        Code.MEMBER_NOT_SCALAR: "The unique meter's value is an object or an array: count a text, a number "
        "or a boolean.",
        Code.MEMBER_TOO_LONG: "The unique meter's value is longer than 256 characters: count something "
        "shorter.",
        Code.VOID_NOT_SUBTRACTABLE: "The meter keeps no value from which an event could be taken back "
        "(`min`, `max`, `last`, `unique`): settle it outside, for example with a credit.",
        Code.PARTITION_COUNT_CHANGED: "The topic has another number of partitions than when it was applied:"
        " subjects would move; hand over to a new topic and schema.",
        Code.OFFSET_OUT_OF_RANGE: "The next offset is no longer in the log: usage was deleted before it was"
        " counted; restore it from an archive, or skip it with `metering partition skip --reason`.",
        Code.LOG_REPLACED: "The last counted record is no longer the one in the log: the topic was "
        "recreated or truncated; hand over to a new schema, or restore the log.",
        Code.CLOCK_JUMP: "A record's timestamp is more than 5 minutes ahead of this worker's clock: check "
        "both clocks; if the broker was wrong, record a cap for this offset with `metering partition cap`.",
        Code.CREATE_TIME_TOPIC: "The topic's timestamps are set by producers: set "
        "`message.timestamp.type=LogAppendTime`, or declare `clock: record` if only our tools write to it.",
        Code.CORRUPT_LEDGER: "The ledger has a gap, an overlap or sums that differ: run `metering doctor`, "
        "and do not go on before it is explained.",
        Code.UNDECODABLE_RECORD: "A record cannot be fetched or decompressed: check the broker's disk and "
        "the codec; move past it only with `metering partition skip --reason`.",
        Code.TOPIC_MISMATCH: "This schema counts another topic, or the topic's contract has changed: check "
        "the settings against `metering topics check`.",
    }
)
"""What a person should do about each code."""
