"""Texts that can be stored: Unicode without U+0000, which Postgres has no place for."""

from schemas.codes import Code, Refused


def storable(text: str) -> str:
    """The text, if a `text` or `jsonb` column takes it.

    Raises:
        Refused: `nul_character` or, for half a surrogate pair, `bad_utf8`.
    """
    if "\0" in text:
        raise Refused(Code.NUL_CHARACTER, ascii(text[:100]))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refused(Code.BAD_UTF8, ascii(text[:100])) from None
    return text
