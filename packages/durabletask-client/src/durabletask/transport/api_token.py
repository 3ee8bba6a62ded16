"""Dapr's API token: which calls carry it.

    DAPR_API_TOKEN --metadata dapr-api-token--> an engine that is known or likely to be Dapr's

A token is a secret, and the environment has it for Dapr's sake. So it goes where Dapr's own
variables lead, to this machine, where daprd runs beside its application, and to whatever the
program itself calls an engine of Dapr's dialect; and to nobody else.

Pure: the environment is an argument.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from durabletask.protocol import dialects

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from durabletask.protocol.dialects import Dialect
    from durabletask.transport import Metadata

VARIABLE: Final = "DAPR_API_TOKEN"
KEY: Final = "dapr-api-token"


def with_token(
    metadata: Metadata,
    dialect: Dialect | None,
    *,
    is_likely: bool,
    environment: Mapping[str, str] = os.environ,
) -> Metadata:
    """The metadata, with the environment's token if it is for this engine and none is there.

    `is_likely`: where the engine is, Dapr's may be; it matters only without a `dialect`.
    """
    token = environment.get(VARIABLE, "").strip()
    if not token or any(key.lower() == KEY for key, _ in metadata):
        return metadata
    is_for_it = is_likely if dialect is None else dialect is dialects.DAPR
    return (*metadata, (KEY, token)) if is_for_it else metadata
