"""How a call of user code ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Returned:
    """It returned that value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """It raised that exception, which need not be an `Exception`: `sys.exit` counts too."""

    exception: BaseException


Outcome: TypeAlias = Returned | Raised
