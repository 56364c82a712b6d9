"""Text from outside as a terminal may show it.

Rules of this file:
1. What would move the cursor, ring, colour or break the line is shown as its escape: `\\x1b`, `\\n`. All else is as it is.
"""


def printable(text: str) -> str:
    """The text with every control character as its escape."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
