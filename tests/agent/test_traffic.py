"""What was kept out is written down in counts, once for each stretch of time in which anything was."""

from __future__ import annotations

from callrec.agent.traffic import TrafficWatch
from callrec.core.bodies import missing_fields
from callrec.core.kinds import Kind
from callrec.ports import Traffic


async def test_each_entry_counts_what_came_since_the_last_and_nothing_makes_none():
    seen = iter(
        [
            Traffic(),
            Traffic(from_strangers=3, stray_responses=1),
            Traffic(from_strangers=3, stray_responses=1),
            Traffic(from_strangers=5, over_rate=7, stray_responses=1),
        ]
    )
    written = []

    async def note(kind, body):
        written.append((kind, dict(body)))

    watch = TrafficWatch(lambda: next(seen), note)
    for _ in range(4):
        await watch.write()

    assert written == [
        (Kind.TRAFFIC_DROPPED, {"from_strangers": 3, "over_rate": 0, "stray_responses": 1}),
        (Kind.TRAFFIC_DROPPED, {"from_strangers": 2, "over_rate": 7, "stray_responses": 0}),
    ]
    assert [missing_fields(kind, body) for kind, body in written] == [(), ()]
