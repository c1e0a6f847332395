"""Small tables of transactions for the tests of the fraud pilot."""

from datetime import date

import numpy as np
from fraud.config import Config, day_number
from fraud.schema import DAY, Transactions
from hypothesis import strategies as st

FIRST, LAST = date(2018, 4, 1), date(2018, 6, 9)
START = day_number(FIRST) * DAY
DAYS = 70
CONFIG = Config(first_day=FIRST, last_day=LAST, train_days=20, test_days=10, keep_negatives=0.5)


def transactions(rows):
    """Make a table of (second since the first day, card, terminal, amount, fraud) in any order."""
    second, card, terminal, amount, fraud = zip(*rows, strict=True)
    return Transactions(
        id=np.arange(len(rows), dtype=np.int64),
        time=START + np.array(second, np.int64),
        card=np.array(card, np.int64),
        terminal=np.array(terminal, np.int64),
        amount=np.array(amount, np.float64),
        fraud=np.array(fraud, np.int8),
        extra=np.empty((len(rows), 0), np.float32),
    ).in_order()


#: Few cards, terminals and distinct moments, so that windows meet and borders are hit.
ROWS = st.lists(
    st.tuples(
        st.integers(0, DAYS * 4 - 1).map(lambda quarter: quarter * DAY // 4)
        | st.integers(0, DAYS * DAY - 1),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 30_000).map(lambda hundredths: hundredths / 100),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=40,
)


def random_table(rows=3000, seed=0, terminals=20):
    rng = np.random.default_rng(seed)
    return transactions(
        list(
            zip(
                rng.integers(0, DAYS * DAY, rows),
                rng.integers(0, 50, rows),
                rng.integers(0, terminals, rows),
                rng.integers(1, 30_000, rows) / 100,
                rng.uniform(size=rows) < 0.05,
                strict=True,
            )
        )
    )
