"""Log records, given to one more handler for a while."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def handled(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    """``handler`` gets what ``logger`` logs at level INFO and above; afterwards both are as before, it closed."""
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
