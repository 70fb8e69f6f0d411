"""Which language a caller hears: the one they chose, as far as anything tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from callrec.agent.plan import choose_language
from callrec.config import loads
from tests.agent.world import INVITE
from tests.calls.house import settings


@pytest.fixture
def line():
    written = settings(sip_port=5060, rtp=40_000, staff="127.0.0.1:5070")
    written["agent"]["runtime_dir"] = "/run/x"
    written["sip"]["trusted_headers"] = ["X-Language"]
    written["lines"]["advice"] |= {
        "match": {"dialled": ["5000", "+441632960001"]},
        "languages": ["en", "cy"],
        "language_header": "X-Language",
        "language_numbers": {"cy": ["+441632960001"]},
    }
    return loads(yaml.safe_dump(written), "callrec.yaml").lines[0]


@pytest.mark.parametrize(
    ("dialled", "headers", "chosen"),
    [
        ("5000", {}, ("en", "line default")),
        ("01632960001", {}, ("cy", "number dialled")),
        ("01632960001", {"X-Language": "en"}, ("en", "header X-Language")),
        ("01632960001", {"X-Language": "fr"}, ("cy", "number dialled")),
        ("5000", {"X-Language": "cy"}, ("cy", "header X-Language")),
    ],
)
def test_a_header_chooses_before_the_number_and_the_number_before_the_default(line, dialled, headers, chosen):
    invite = replace(INVITE, dialled=dialled, headers=headers)

    assert choose_language(line, invite, country="44") == chosen
