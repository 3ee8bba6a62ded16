"""Whether what is stored can be true: histories, and the rows that have to agree with them.

    pieces --decode--> events --histories--> one history by itself
                       events --instances--> the state beside it
                                --links----> other instances, and entities

Each rule is a function that yields a finding where it does not hold. All rules look at what
is there now, whatever has made it: engines, workers that rewound, disks.

Does no I/O.
"""

from __future__ import annotations

from .finding import Finding

__all__ = ["Finding"]
