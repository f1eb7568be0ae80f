"""How much the words of a review tell, from 0 to 1.

With n the words of a text, d the distinct ones among them, s those of them that say how it was (kind or
unkind: a text that says no is as telling as one that says yes), and l the share of letters among what
is not space:

    length         = min(1, ln(1 + d) / ln(1 + 40))
    sentiment      = min(1, s / 3)
    informativeness = min(1, 2 d / n) * min(1, l / 0.6)
    quality        = informativeness * (0.6 length + 0.4 sentiment)

A word is a run of letters of any script, in lower case; a letter that comes three times or more in a
row is one ("sooo" is "so"), and a web address is no words. So 1 asks for 40 different words, three of
which say how it was. What holds for every text (tested):

- the quality lies in 0..1, and without a word it is 0;
- a word of letters that the text does not hold yet, put at its end, never lowers it;
- saying the whole text again never raises it.

What it cannot do: tell whether a text is true, or a made-up word from a rare one. Scripts that put no
space between words get little. The built-in words are English and Vietnamese; in another language a
text can reach 0.6.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from recsys.types import Float32Array

FULL_LENGTH = 40  # distinct words
FULL_SENTIMENT = 3  # distinct words of the lists below
NEW_WORDS_SHARE = 0.5  # of long plain prose about half the words are new
LETTERS_SHARE = 0.6  # prose with dates and prices has more
LENGTH_WEIGHT, SENTIMENT_WEIGHT = 0.6, 0.4

ENGLISH = """
amazing awesome beautiful best better bright charming clean clear comfortable cozy delicious delightful
durable easy effective elegant enjoyable enjoyed excellent fantastic fast favorite fine flawless fresh
friendly fun genuine good gorgeous great happy helpful ideal impressed love loved lovely neat nice perfect
pleasant pleased quick recommend reliable smooth soft solid stunning sturdy superb thoughtful wonderful
worth
annoying awful bad boring broke broken cheap confusing cracked damaged dead defective dirty disappointed
disappointing dreadful dull expensive fail failed fake faulty flimsy hard hate hated horrible leaks loose
mediocre misleading missing noisy overpriced poor refund regret ridiculous rough rude sad scam slow smelly
terrible thin ugly unhappy unusable useless waste weak worse worst wrong
"""
VIETNAMESE = """
bền chuẩn dễ đẹp êm hài hay khỏe mát mềm mịn mượt ngon nhanh nhẹ ổn rẻ sạch thích thơm tiện tốt tuyệt
tươi ưng vui vừa xịn xinh yêu
bẩn bực chán chậm chê cũ dở đắt đau ghét giả hỏng hôi hư kém khó lỗi mốc nhàm nứt phí rách rởm tệ thất
thô tiếc xấu yếu
"""
SENTIMENT_WORDS = frozenset((ENGLISH + VIETNAMESE).split())

_WEB_ADDRESS = re.compile(r"(?:https?://|www\.)\S+")
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_WORD = re.compile(r"[^\W\d_]+")


def comment_quality(text: str) -> float:
    """How much a text tells, from 0 (no word in it) to 1; see the module.

    >>> comment_quality("")
    0.0
    >>> round(comment_quality("good"), 3), round(comment_quality("good good good good!!!!!!!!"), 3)
    (0.245, 0.122)
    """
    plain = unicodedata.normalize("NFC", text).casefold()
    words = _WORD.findall(_STRETCHED.sub(r"\1", _WEB_ADDRESS.sub(" ", plain)))
    if not words:
        return 0.0
    distinct = set(words)
    n_solid = sum(map(len, plain.split()))
    letters = sum(map(len, words)) / n_solid
    new = len(distinct) / len(words)
    informativeness = min(1.0, new / NEW_WORDS_SHARE) * min(1.0, letters / LETTERS_SHARE)
    length = min(1.0, math.log1p(len(distinct)) / math.log1p(FULL_LENGTH))
    sentiment = min(1.0, len(distinct & SENTIMENT_WORDS) / FULL_SENTIMENT)
    return informativeness * (LENGTH_WEIGHT * length + SENTIMENT_WEIGHT * sentiment)


def comment_qualities(texts: Sequence[str | None]) -> Float32Array:
    """(n,) float32 of `comment_quality`; None is no text. A text that comes again is read once."""
    known: dict[str | None, float] = {None: 0.0}
    qualities = np.empty(len(texts), np.float32)
    for place, text in enumerate(texts):
        if text not in known:
            known[text] = comment_quality(text or "")
        qualities[place] = known[text]
    return qualities
