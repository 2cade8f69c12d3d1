"""The seven emotions of FER2013 in order, FER+'s ten votes, and the names people give them."""

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes; an emotion's place in this tuple is its label, 0 to 6."""

UNKNOWN = -1
"""The label of an image whose emotion is not known (the contest's test split)."""

FERPLUS_VOTES: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""Columns of FER+'s `fer2013new.csv`: eight emotions, 'unknown', 'NF' (no face)."""

_ALIASES: dict[str, str] = {
    "anger": "angry",
    "mad": "angry",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "scared": "fear",
    "joy": "happy",
    "happiness": "happy",
    "smile": "happy",
    "sadness": "sad",
    "unhappy": "sad",
    "surprised": "surprise",
    "surprize": "surprise",
    "suprise": "surprise",
    "calm": "neutral",
    "neutrality": "neutral",
}


def canonical(name: str) -> str | None:
    """Return the emotion that `name` spells ("Anger", "fearful", "3", "5_surprised"), or None.

    A number stands for FER2013's label. A leading or trailing number beside a word, as in
    `0_angry` or `angry-0`, is passed over.
    """
    word = name.strip().casefold()
    if word.isascii() and word.isdigit():
        return EMOTIONS[int(word)] if int(word) < len(EMOTIONS) else None
    word = word.strip("0123456789").strip(" _-.")
    if word in EMOTIONS:
        return word
    return _ALIASES.get(word)


def ferplus_column(emotion: str) -> int:
    """Return the column of FER+'s votes (0 to 9) that counts votes for one of the `EMOTIONS`."""
    return next(i for i, vote in enumerate(FERPLUS_VOTES) if canonical(vote) == emotion)
