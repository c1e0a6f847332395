"""Where the rows of a batch can get to in a training program; see :mod:`frugalfl.flow.check`."""

from frugalfl.flow.check import check_flow

__all__ = ["check_flow"]
