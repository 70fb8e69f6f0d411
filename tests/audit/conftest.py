import pytest

from tests.audit.story import Story


@pytest.fixture
def story(tmp_path):
    story = Story(tmp_path)
    yield story
    story.world.close()
