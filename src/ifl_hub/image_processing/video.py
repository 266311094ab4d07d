"""Frames of a video, every k-th, upright, as the pictures that everything here reads (PyAV, extra `video`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".mts", ".3gp")


class VideoError(ValueError):
    """A video that cannot be read; the message is one line that names the file and says what to do."""


@dataclass(frozen=True)
class VideoFrame:
    """One frame.

    Args:
        index: Its number in the video, from 0.
        seconds: When it is shown; None where the video does not say.
        pixels: `(H, W, 3)` uint8 RGB, upright.
    """

    index: int
    seconds: float | None
    pixels: np.ndarray


def read_frames(path: str | Path, every: int = 5) -> Iterator[VideoFrame]:
    """Decode a video and give frames 0, k, 2 k, …

    Args:
        path: A file.
        every: k; the paper takes every fifth frame.

    Raises:
        VideoError: If it is missing, no video, or damaged, or PyAV is not installed.
        ValueError: If `every` is below 1.
    """
    if every < 1:
        raise ValueError(f"every={every}: give 1 for all frames, 5 for every fifth")
    if not Path(path).is_file():
        raise VideoError(f"{path}: no such file; check the path")
    try:
        import av
    except ModuleNotFoundError as error:
        raise VideoError(f"{path}: reading videos needs PyAV: pip install 'ifl-hub[video]'") from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{path}: holds no pictures, only sound; give a video")
            for index, frame in enumerate(container.decode(video=0)):
                if index % every == 0:
                    turns = round(getattr(frame, "rotation", 0) / 90)
                    yield VideoFrame(index, frame.time, np.rot90(frame.to_ndarray(format="rgb24"), turns))
    except av.FFmpegError as error:
        raise VideoError(f"{path}: not a video this program can read ({error.strerror}); give an MP4 file") from error
