"""`recordings list --notice`: which recordings a wording touched, told by their own proofs."""

import json

import pytest

from callrec.errors import ConfigError
from tests.core.builders import GOOD_EVIDENCE

HEARD = GOOD_EVIDENCE.prompt


@pytest.fixture
def listed(house):
    recording = house.record()

    def ids(notice: str) -> list[str]:
        result = house.callrec("recordings", "list", "--json", "--notice", notice)
        if result.exception is not None:
            raise result.exception
        return [row["recording_id"] for row in json.loads(result.output)]

    return recording, ids


def test_a_recording_is_found_by_the_notice_that_was_proven_for_it(listed):
    recording, ids = listed
    name, language, version = HEARD.prompt_id, HEARD.language, HEARD.version

    for notice in (name, f"{name}/{version}", f"{name}.{language}", f"{name}.{language}.{version}"):
        assert ids(notice) == [recording]
    for notice in (f"{name}/{version + 1}", f"{name}.xx", "another"):
        assert ids(notice) == []


def test_what_names_no_notice_is_told(listed):
    _, ids = listed

    with pytest.raises(ConfigError, match="is no notice"):
        ids("Advice Line!")
