"""The table of procedures is that of both contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durabletask.protocol import messages, methods
from durabletask.protocol.dialects import NATIVE
from tests.builders.protocol import vendors

if TYPE_CHECKING:
    from tests.builders.protocol import Vendor


@pytest.mark.parametrize("vendor", vendors(), ids=lambda vendor: vendor.name)
def test_a_dialect_has_the_procedures_of_its_contract(vendor: Vendor) -> None:
    contract = {
        (
            procedure["path"],
            vendor.our_name(procedure["request"].removeprefix("google.protobuf.")),
            vendor.our_name(procedure["response"].removeprefix("google.protobuf.")),
            procedure["server_streaming"],
        )
        for procedure in vendor.contract["rpcs"]
    }

    table = {
        (method.path, method.request, method.response, method.response_streaming)
        for method in methods.of(vendor.dialect)
    }

    assert table == contract


def test_the_native_dialect_has_all_procedures() -> None:
    assert methods.of(NATIVE) == methods.ALL


def test_the_messages_of_every_procedure_exist() -> None:
    for method in methods.ALL:
        assert method.request_class() is getattr(messages, method.request)
        assert method.response_class() is getattr(messages, method.response)
