"""Errors, named for what the program does next.

    SortlineError                     base; a command prints its sentence and exits 1
    ├── InvalidRecordError            this record goes to the dead-letter topic; the stream goes on
    ├── DependencyUnavailableError    nothing is committed; back off and try again
    ├── StreamHaltedError             the worker stops; nothing more is committed
    ├── TransactionLostError          the worker stops, exit 5: nothing of it is visible, start again
    └── SetupError                    refuse to start, exit 2: the sentence names the setting and what to do
        ├── InputFileError            a file that a person gave is wrong: names column and row
        └── BundleError               a model bundle is damaged, or this code cannot reproduce its features

Every message is one sentence for the person who has to act on it. Fields are positional: keyword-only ones do not
survive pickling.
"""

from __future__ import annotations


class SortlineError(Exception):
    """Base of every error that this project raises on purpose."""

    exit_code = 1


class InvalidRecordError(SortlineError):
    """A record that can never be categorized as it is: dead-letter it and go on.

    Attributes:
        reason: what is wrong, in words its producer can act on.
        where: `topic/partition/offset`, or another place the record came from.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason, where)
        self.reason = reason
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


class DependencyUnavailableError(SortlineError):
    """Kafka, the registry or a store does not answer: commit nothing, back off."""


class StreamHaltedError(SortlineError):
    """The stream must stop, with everything not yet delivered left uncommitted."""


class TransactionLostError(SortlineError):
    """Another worker owns the partition by now, or the transaction cannot be committed: stop, and start again."""

    exit_code = 5


class SetupError(SortlineError):
    """The program cannot start as it is set up."""

    exit_code = 2


class InputFileError(SetupError):
    """A file that a person gave cannot be read as products."""


class BundleError(SetupError):
    """A model bundle cannot be loaded, or cannot be trusted."""
