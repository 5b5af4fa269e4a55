"""What somebody has sent, as text that cannot pass for anything else."""

from typing import Final

_LAYOUT: Final = "\n\t"


def plain(content: bytes | None) -> str | None:
    r"""Bytes as text: what is no UTF-8 as `\xff`, what is not seen or turns what is as `\u202e`."""
    if content is None:
        return None
    text = content.decode("utf-8", "backslashreplace")
    return "".join(
        one if one.isprintable() or one in _LAYOUT else one.encode("unicode_escape").decode() for one in text
    )
