import pytest

from callrec.errors import Broken, Refused, Unavailable
from callrec.store.retrying import FIRST_S, MOST_S, RetryingStore

CUT = Unavailable("cut off")


class Breaking:
    """Reads break off after each piece, the first `times` times."""

    def __init__(self, times, error=CUT):
        self.times, self.error, self.opened = times, error, 0

    async def read(self, recording_id):
        self.opened += 1
        yield b"abc"
        if self.times > 0:
            self.times -= 1
            raise self.error
        yield b"def"

    async def stat(self, recording_id):
        self.opened += 1
        raise self.error


class Pauses(list):
    async def __call__(self, seconds):
        self.append(seconds)


async def test_a_read_that_broke_off_goes_on_where_it_was():
    store = Breaking(times=2)
    retrying = RetryingStore(store, attempts=3, sleep=Pauses())

    assert [piece async for piece in retrying.read("x")] == [b"abc", b"def"]
    assert store.opened == 3


async def test_patience_ends_with_the_stores_own_error():
    store, pauses = Breaking(times=9), Pauses()
    retrying = RetryingStore(store, attempts=3, sleep=pauses)

    with pytest.raises(Unavailable, match="cut off"):
        [piece async for piece in retrying.read("x")]
    with pytest.raises(Unavailable, match="cut off"):
        await retrying.stat("x")

    assert store.opened == 6
    assert len(pauses) == 4
    assert all(FIRST_S <= pause <= MOST_S for pause in pauses)


@pytest.mark.parametrize("error", [Refused("no"), Broken("torn")])
async def test_what_is_not_unavailable_is_never_tried_again(error):
    store = Breaking(times=9, error=error)
    retrying = RetryingStore(store, sleep=Pauses())

    with pytest.raises(type(error)):
        await retrying.stat("x")
    with pytest.raises(type(error)):
        [piece async for piece in retrying.read("x")]

    assert store.opened == 2
