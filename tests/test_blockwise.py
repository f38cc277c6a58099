"""Blocks of rows."""

from hypothesis import given
from hypothesis import strategies as st

from cmgan.blockwise import row_blocks


@given(rows=st.integers(0, 5000), row_floats=st.integers(1, 1 << 19))
def test_blocks_cover_all_rows_once_in_order(rows: int, row_floats: int) -> None:
    covered = [row for block in row_blocks(rows, row_floats) for row in range(block.start, block.stop)]
    assert covered == list(range(rows))
