"""Reading and writing the small integers of a frame, with every length bounded."""

from __future__ import annotations

from frugalfl.errors import FrameError

#: ``Reader.bytes`` hides the name of the type from the other methods.
_Octets = bytes
#: Most numbers of a frame are small.
_ONE_BYTE = tuple(bytes([value]) for value in range(0x80))


def varint(value: int) -> bytes:
    """Write an unsigned LEB128 integer (DWARF 5, section 7.6): 7 bits a byte, low bits first."""
    if 0 <= value <= 0x7F:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """A cursor over untrusted bytes; every read past the end is one :class:`FrameError`."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self.position = 0

    def __len__(self) -> int:
        """Return how many bytes are left."""
        return len(self._data) - self.position

    def bytes(self, count: int) -> memoryview:
        """Read exactly ``count`` bytes, without copying them."""
        end = self.position + count
        if end > len(self._data):
            missing = end - len(self._data)
            raise FrameError(f"the frame ends {missing} B too early; it was truncated on the way")
        chunk = self._data[self.position : end]
        self.position = end
        return chunk

    def byte(self) -> int:
        """Read one byte."""
        if self.position >= len(self._data):
            self.bytes(1)
        self.position += 1
        return self._data[self.position - 1]

    def passed(self, expected: _Octets) -> bool:
        """Read ``expected`` if that is what comes next; otherwise nothing."""
        end = self.position + len(expected)
        if self._data[self.position : end] != expected:
            return False
        self.position = end
        return True

    def varint(self, most: int) -> int:
        """Read an unsigned LEB128 integer of at most ``most``."""
        value = shift = 0
        data, position = self._data, self.position
        if position < len(data) and (byte := data[position]) < 0x80 and byte <= most:
            self.position = position + 1  # most numbers are small
            return byte
        while position < len(data):
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if value > most or shift > most.bit_length():
                raise FrameError(f"the frame holds a number above its bound of {most}")
            if byte < 0x80:
                self.position = position
                return value
            shift += 7
        raise FrameError("the frame ends inside a number; it was truncated on the way")

    @property
    def finished(self) -> bool:
        """Whether everything was read."""
        return self.position == len(self._data)

    def rest(self) -> memoryview:
        """Read everything that is left."""
        return self.bytes(len(self._data) - self.position)
