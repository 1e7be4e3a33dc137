"""Errors of reading a dataset. Each names the file or the value, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike


class ExperienceError(Exception):
    """The base class of all errors of this package."""


class NotADatasetError(ExperienceError):
    """The path is not the folder of a dataset."""


class NoSuchRecordingError(ExperienceError, KeyError):
    """The dataset has no recording of this name."""

    def __init__(self, path: PathLike[str], name: str, known: Iterable[str]) -> None:
        message = f"`{path}` has no recording `{name}`; it has {', '.join(known)}"
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0])


class NoSuchColumnError(ExperienceError, KeyError):
    """The recording has no column of this name."""

    def __init__(self, recording: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"recording `{recording}` has no column `{name}`; it has {', '.join(known)}")

    def __str__(self) -> str:
        return str(self.args[0])


class DamagedError(ExperienceError):
    """The content of a file is invalid.

    Attributes
    ----------
    path : os.PathLike
        The file.
    reason : str
        What is invalid in it.
    """

    def __init__(self, path: PathLike[str], reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return (
            f"`{self.path}` is damaged: {self.reason}; restore it from a copy, move it out of the "
            'dataset, or open the dataset with `damaged="skip"`'
        )


class OtherSchemaError(DamagedError):
    """The columns of a shard are not those of its recording."""

    def __str__(self) -> str:
        return (
            f"`{self.path}` has another schema than its recording: {self.reason}; write its columns "
            "with their names, types and list lengths, or move it out of the dataset"
        )


class UnsuitableError(ExperienceError, ValueError):
    """The data or an argument does not suit the operation."""


class MissingExtraError(ExperienceError, ImportError):
    """A package that an optional part needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"`{package}` is not installed: `pip install 'bevy-experience[{extra}]'` installs it")


class StreamError(ExperienceError):
    """The stream of a game cannot be read: the message says why, and what to do."""
