"""The option for how long instances are remembered that have ended.

Knows nothing about how they are forgotten.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

# Far enough from the ends of the calendar.
_MOST_DAYS = 36_500


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("retention")
    group.add_argument(
        "--retain",
        type=_days,
        metavar="DAYS",
        help="forget orchestrations that ended longer ago; fractions will do (default: never)",
    )


def read(options: argparse.Namespace) -> timedelta | None:
    kept: timedelta | None = options.retain
    return kept


def _days(text: str) -> timedelta:
    try:
        days = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days") from error
    # Also what is no number is not between any two.
    if not 0 < days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0 and at most {_MOST_DAYS}")
    return timedelta(days=days)
