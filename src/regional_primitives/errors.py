"""One base error and its few kinds: each says what was given, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RegionalPrimitivesError(Exception):
    """Base of every error that this library raises on purpose; the command prints only these.

    Its message is one line, whatever the caller's values print as.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(" ".join(line.strip() for line in str(message).splitlines()))


class InputError(RegionalPrimitivesError, ValueError):
    """An argument is malformed: a grid, a demand, a latent, a setting."""


class GeneratorError(RegionalPrimitivesError):
    """The network cannot be cut or explained: wrong layer, NaN weights, randomness, no image."""


class SomeFailedError(GeneratorError):
    """Some of several pictures cannot be explained; the others were, and are here.

    Raised once all are done, so that one bad picture does not lose the others.
    """

    def __init__(
        self, explained: Mapping[int, Any], failed: Mapping[int, RegionalPrimitivesError]
    ) -> None:
        self.explained = dict(explained)
        """The decompositions of the others, by each one's place in the batch."""
        self.failed = dict(failed)
        """What was wrong, by the picture's place in the batch."""
        first, error = next(iter(self.failed.items()))
        super().__init__(
            f"{len(self.failed)} of {len(self.failed) + len(self.explained)} pictures cannot be "
            f"explained, the first of them number {first}: {error}; the others are in this error's "
            "`explained`"
        )


class StorageError(RegionalPrimitivesError):
    """A file or folder cannot be written, is missing, corrupt, or of an unknown version."""


class BusyError(StorageError):
    """Another process is writing what is to be written."""


class MissingExtraError(RegionalPrimitivesError, ImportError):
    """A feature needs a package that the core install leaves out; the message has the pip line."""

    def __init__(self, feature: str, extra: str) -> None:
        self._told = feature, extra
        super().__init__(
            f"{feature} needs packages that are not installed; "
            f'get them with: pip install "regional_primitives[{extra}]"'
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Let it come back from another process."""
        return MissingExtraError, self._told


class ImageRangeWarning(UserWarning):
    """The pictures of a network do not lie in the range that they are said to lie in."""


class WholeRunWarning(UserWarning):
    """A network could not be recorded, so that every change runs all of it."""


def first_line(error: BaseException) -> str:
    """Return the first line of what another library says, or of what kind its error is."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
