"""Words that do not exist, so that titles carry topics and nothing else."""

import numpy as np

_STARTS = ("b", "br", "d", "dr", "f", "g", "k", "kl", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "w", "z")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_ENDS = ("", "l", "n", "r", "s", "t", "m")


def words(rng: np.random.Generator, count: int) -> list[str]:
    """Different words, in a seeded order."""
    made: dict[str, None] = {}
    syllables = 2
    while len(made) < count:
        before = len(made)
        parts = [
            (_STARTS[a], _VOWELS[b], _ENDS[c])
            for a, b, c in zip(
                rng.integers(0, len(_STARTS), 2 * count * syllables).tolist(),
                rng.integers(0, len(_VOWELS), 2 * count * syllables).tolist(),
                rng.integers(0, len(_ENDS), 2 * count * syllables).tolist(),
                strict=True,
            )
        ]
        for i in range(0, len(parts), syllables):
            word = "".join(start + vowel for start, vowel, _ in parts[i : i + syllables]) + parts[i + syllables - 1][2]
            made[word] = None
            if len(made) == count:
                break
        if len(made) - before < count // 10:
            syllables += 1
    return list(made)
