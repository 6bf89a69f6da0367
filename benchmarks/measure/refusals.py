"""Why a row gets no time."""


class Refusal(Exception):
    """A row without a time. The message says why in one line; `word` says it in one or two words."""

    word = "wrong"


class Wrong(Refusal):
    """An answer that is wrong, or none: it raised, died, or was still not done when its time was over."""


class NotComparable(Refusal):
    """A row that cannot be put beside its baseline."""

    word = "not comparable"


class Lacking(Refusal):
    """An implementation that cannot run here; the message says what it needs."""

    word = "skipped"
