r"""Words on the terminal, some of which others wrote: names in files, paths, messages.

Control characters could set titles, colours or the clipboard, a line break forges a line of ours,
and a name can be megabytes long.
"""

from __future__ import annotations

import re

MOST = 4000  # characters of a sentence
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    r"""Text without control characters, line breaks but, told as they are escaped in Python.

    >>> plain("\x1b[31mall is well")
    '\\x1b[31mall is well'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), _bounded(text))


def sentence(text: str) -> str:
    r"""`plain` text on one line.

    >>> sentence("a\nprobe: all is well")
    'a\\nprobe: all is well'
    """
    return plain(text).replace("\n", "\\n")


def _bounded(text: str) -> str:
    if len(text) <= MOST:
        return text
    half = MOST // 2
    return f"{text[:half]} ... ({len(text) - MOST:,} characters left out) ... {text[-half:]}"
