"""Elements under a sliding window, in numpy."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .commands import Stream, Window


class Operand:
    """The tensor of a ``window``, and what enters the array at each of its positions."""

    def __init__(self, window: Window, memory: np.ndarray) -> None:
        """memory : bytes of the on-chip memory; the tensor is read when it is first needed."""
        self.window = window
        self._memory = memory

    @cached_property
    def tensor(self) -> np.ndarray:
        """[batch, height, width, channels], dtype of the tensor."""
        window = self.window
        memory = self._memory[window.at : window.at + window.size]
        return memory.view(window.quant.dtype).reshape(window.shape)

    @cached_property
    def _padded(self) -> np.ndarray:
        """float32, as int8, with its borders."""
        top, left, bottom, right = self.window.padding
        shift = 128 if self.window.quant.dtype == "uint8" else 0
        values = self.tensor.astype(np.float32) - np.float32(shift)
        border = ((0, 0), (top, bottom), (left, right), (0, 0))
        return np.pad(values, border, constant_values=self.window.quant.zero_point - shift)

    def rows(self, stream: Stream) -> np.ndarray:
        """What ``stream`` feeds into the array: float32 [pixels, rows], integral."""
        window = self.window
        parts, row = [], stream.row
        while row < stream.row + stream.rows:
            tap, first = divmod(row, stream.channels)
            count = min(stream.channels - first, stream.row + stream.rows - row)
            parts.append(self._tap(*divmod(tap, window.kernel[1]), stream.channel + first, count))
            row += count
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return whole[stream.pixel : stream.pixel + stream.pixels]

    def _tap(self, down: int, across: int, channel: int, channels: int) -> np.ndarray:
        """What one tap sees at every position: [window.pixels, channels]."""
        window = self.window
        places = [
            slice(tap * dilation, tap * dilation + (count - 1) * stride + 1, stride)
            for tap, dilation, stride, count in zip(
                (down, across), window.dilations, window.strides, window.out, strict=True
            )
        ]
        return self._padded[:, places[0], places[1], channel : channel + channels].reshape(window.pixels, channels)
