"""From an eighth of the circle to all of it, by two bits of a word: the last step of Box and Muller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def turn(
    cos: NDArray[np.floating],
    sin: NDArray[np.floating],
    words: NDArray[np.unsignedinteger],
    scratch: NDArray[np.unsignedinteger],
) -> None:
    """The highest bit of a word negates the cosine; then the next one exchanges cosine and sine.

    Args:
        cos: changed in place.
        sin: changed in place.
        words: as wide as the numbers; overwritten.
        scratch: of the type of `words`; overwritten.
    """
    cos_bits, sin_bits = cos.view(words.dtype), sin.view(words.dtype)
    highest = 8 * words.itemsize - 1
    np.bitwise_and(words, 1 << highest, out=scratch)
    np.bitwise_xor(cos_bits, scratch, out=cos_bits)
    # All bits of the word become the second highest one.
    signed = words.view(f"i{words.itemsize}")
    np.left_shift(signed, 1, out=signed)
    np.right_shift(signed, highest, out=signed)
    np.bitwise_xor(cos_bits, sin_bits, out=scratch)
    np.bitwise_and(scratch, words, out=scratch)
    np.bitwise_xor(cos_bits, scratch, out=cos_bits)
    np.bitwise_xor(sin_bits, scratch, out=sin_bits)
