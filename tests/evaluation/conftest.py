"""These tests say nothing about another engine."""

from __future__ import annotations

import pytest

from tests.engine import PRODUCTION
from tests.sip.conftest import calls, engine, voices

__all__ = ["calls", "engine", "voices"]


@pytest.fixture(scope="session", autouse=True)
def _evaluation_engine() -> None:
    if PRODUCTION:
        pytest.fail("this Python has the production engine: make test-evaluation", pytrace=False)
