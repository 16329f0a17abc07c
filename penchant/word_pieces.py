"""Texts as word pieces, as BERT's uncased models read them: lower case, no accents, the longest known pieces first.

Devlin et al. 2019; Wu et al. 2016. The same pieces as the reference tokeniser's, in plain Python: what serves needs no
further library.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LONGEST_WORD = 100
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPieces:
    """A vocabulary, one piece a line; a piece's number is its line's from 0."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._number = {piece: i for i, piece in enumerate(vocabulary)}
        self._first, self._last, self._unknown, self._padding = (
            self._number[mark] for mark in ("[CLS]", "[SEP]", "[UNK]", "[PAD]")
        )

    @classmethod
    def open(cls, path: Path) -> "WordPieces":
        """Read a vocabulary file. Raises OSError, KeyError where it lacks BERT's marks."""
        return cls(path.read_text(encoding="utf-8").rstrip("\n").split("\n"))

    def numbers(self, text: str, longest: int) -> list[int]:
        """Numbers of the text's pieces between the two marks, `longest` of them at most, marks included."""
        found = [self._first]
        for word in _words(text):
            if len(found) >= longest - 1:
                break
            found.extend(self._pieces(word))
        return [*found[: longest - 1], self._last]

    def batch(self, texts: Iterable[str], longest: int) -> NDArray[np.int64]:
        """[n, longest piece count], padded on the right."""
        rows = [self.numbers(text, longest) for text in texts]
        width = max(map(len, rows), default=0)
        return np.array([row + [self._padding] * (width - len(row)) for row in rows], np.int64).reshape(-1, width)

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _LONGEST_WORD:
            return [self._unknown]
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._number.get(word[start:end] if start == 0 else f"##{word[start:end]}")
                if number is not None:
                    break
            else:
                return [self._unknown]
            found.append(number)
            start = end
        return found


def _words(text: str) -> list[str]:
    """Lower-case words and single punctuation marks, accents taken off."""
    cleaned = []
    for character in text:
        if character in "\t\n\r" or unicodedata.category(character) == "Zs":
            cleaned.append(" ")
        elif character not in "\0�" and unicodedata.category(character) not in ("Cc", "Cf", "Cn", "Co", "Cs"):
            code = ord(character)
            spaced = any(low <= code <= high for low, high in _IDEOGRAPHS)
            cleaned.append(f" {character} " if spaced else character)
    bare = "".join(c for c in unicodedata.normalize("NFD", "".join(cleaned)) if unicodedata.category(c) != "Mn")
    words: list[str] = []
    for chunk in bare.lower().split():
        word = ""
        for character in chunk:
            if _punctuation(character):
                words.extend([word, character] if word else [character])
                word = ""
            else:
                word += character
        if word:
            words.append(word)
    return words


def _punctuation(character: str) -> bool:
    code = ord(character)
    ascii_mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_mark or unicodedata.category(character).startswith("P")
