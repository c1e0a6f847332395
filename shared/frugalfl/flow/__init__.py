"""Where the rows of a batch can get to in a training program; see :mod:`.check_program`."""

from frugalfl.flow.check_program import check_flow

__all__ = ["check_flow"]
