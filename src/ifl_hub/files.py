"""Files that are either whole or absent, and known by their content."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write, under a temporary name until it is complete, so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write all of a file or nothing."""
    with atomic_file(path) as file:
        file.write(content)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits."""
    return joint_sha256([path])


def joint_sha256(paths: Iterable[Path]) -> str:
    """The sha256 over the bytes of several files, one after the other, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def check_cached_files(paths: Iterable[Path]) -> None:
    """Compare files of the Hub's cache with the checksums that they are stored under.

    The cache names a file by what the Hub says of it: the sha256 of a large file, git's hash of a small one. Other
    files, and those of a cache without symbolic links, are taken as they are.

    Args:
        paths: Of a snapshot of the cache, or anything else.

    Raises:
        OSError: If the content of a file is not what its name says.
    """
    for path in paths:
        blob = path.resolve()
        actual = {64: file_sha256, 40: _git_hash}.get(len(blob.name)) if blob.parent.name == "blobs" else None
        if actual is not None and actual(blob) != blob.name:
            raise OSError(
                f"{path.name} is damaged in the cache, it is not what the Hub holds: delete {blob} and load it again"
            )


def _git_hash(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
