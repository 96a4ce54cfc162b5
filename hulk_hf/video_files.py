# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing videos with OpenCV, whose wheel brings FFmpeg under the LGPL and libvpx, and no GPL codec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

CODEC = "vp09"
"""VP9 in MP4: free of GPL encoders, and browsers play it."""


class VideoFrames:
    """The frames of a video, one after the other; can be gone through again and again.

    Args:
        path: Of the file.

    Attributes:
        size: (width, height) in pixels.
        fps: Frames per second; 25 where the file does not say.
        count: Number of frames as the file says it, which may be wrong; 0 if it does not.

    Raises:
        ValueError: No such file, not a video that can be read, or one without frames.
    """

    def __init__(self, path: str | Path):
        import cv2

        self.path = str(path)
        if not Path(self.path).is_file():
            raise ValueError(f"source: no file {self.path!r}")
        capture = cv2.VideoCapture(self.path)
        try:
            opened, frame = capture.read() if capture.isOpened() else (False, None)
            if not opened or frame is None:
                size = Path(self.path).stat().st_size
                raise ValueError(
                    f"source: {self.path!r} ({size} bytes) is no video that can be read, or has no frames"
                )
            self.size = (frame.shape[1], frame.shape[0])
            fps = capture.get(cv2.CAP_PROP_FPS)
            self.fps = float(fps) if 0 < fps < 1000 else 25.0
            self.count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        finally:
            capture.release()

    def frames(self, start: int = 0) -> Iterator[np.ndarray]:
        """The frames from number `start` on, RGB, shape (height, width, 3), uint8.

        Frames before it are decoded and dropped: jumping into a video is not exact.

        Raises:
            ValueError: A frame of another size than the first one.
        """
        import cv2

        capture = cv2.VideoCapture(self.path)
        try:
            index = 0
            while index < start and capture.grab():
                index += 1
            while True:
                there, frame = capture.read()
                if not there:
                    return
                size = (frame.shape[1], frame.shape[0])
                if size != self.size:
                    raise ValueError(
                        f"source: frame {index} of {self.path!r} is {size[0]}x{size[1]}, the first one "
                        f"{self.size[0]}x{self.size[1]}; cut the video where its size changes"
                    )
                yield frame[..., ::-1]
                index += 1
        finally:
            capture.release()


class VideoWriter:
    """Writes frames into a video file; use it in a `with` statement.

    Args:
        path: Of the file, ending in `.mp4`.
        fps: Frames per second.
        codec: FourCC of the codec.

    Raises:
        OSError: The file cannot be written, or the codec is not there.
    """

    def __init__(self, path: str | Path, fps: float, codec: str = CODEC):
        self.path, self.fps, self.codec = str(path), fps, codec
        self._writer: Any = None
        self._size = (0, 0)

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, RGB, shape (height, width, 3), uint8; all of one size.

        Raises:
            ValueError: A frame of another size than the first one.
            OSError: The file cannot be written.
        """
        import cv2

        height, width = frame.shape[:2]
        # Colour is stored at half the resolution, so sides are even.
        even = np.ascontiguousarray(frame[: height - height % 2, : width - width % 2, ::-1])
        size = (even.shape[1], even.shape[0])
        if self._writer is None:
            self._size = size
            self._writer = cv2.VideoWriter(self.path, cv2.VideoWriter.fourcc(*self.codec), self.fps, size)
            if not self._writer.isOpened():
                raise OSError(f"output: {self.path} cannot be written as video with the codec {self.codec!r}")
        if size != self._size:
            raise ValueError(f"frame: expected {self._size[0]}x{self._size[1]}, got {size[0]}x{size[1]}")
        self._writer.write(even)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.release()


__all__ = ["CODEC", "VideoFrames", "VideoWriter"]
