"""Check what is stored: histories, and the rows that have to agree with them.

    stored pieces --decode--> events --histories--> the history by itself
                              events --instances--> the state beside it, and other instances
                                       entities---> an entity, and who has locked it

Each rule is a function that yields a finding where it does not hold. The rules look at what
is stored now, whatever has written it: engines, workers that rewound it, or failing disks.

Does no I/O: what has to be looked up is passed in as functions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that does not hold."""

    rule: str
    text: str
