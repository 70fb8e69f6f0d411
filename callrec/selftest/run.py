"""Runs the trials of every line through an agent of its own, and one call through the agent that runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from callrec._durable import write_file
from callrec.agent.clock import SystemClock
from callrec.config import Config
from callrec.config.values import Transport
from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.kinds import Kind
from callrec.core.values import CallDirection
from callrec.demo.phone import LOOPBACK, Phone
from callrec.demo.show import QUIET, newest
from callrec.demo.speech import voice
from callrec.demo.story import Story
from callrec.errors import Broken, Unavailable
from callrec.initial import initialise
from callrec.notice.approval import READABLE
from callrec.notice.register import ApprovedPrompt, Register
from callrec.notice.verify import Verification, verify
from callrec.selftest.house import Copy, Subject, copied
from callrec.selftest.trials import ACTS, Outcome, Trial, nothing, outcome_of, spoil
from callrec.wiring import Built, build_agent

_INTO_THE_NOTICE_S: Final = 1.0
_CONNECTED_S: Final = 60.0
_TALK_S: Final = 0.5
_SETTLED_S: Final = 30.0
_ANSWER_S: Final = 10.0
CALLER: Final = "selftest"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One language of one line: what was played there, and what came of each trial."""

    line: str
    language: str
    prompt: str
    pcm_sha256: str
    outcomes: tuple[Outcome, ...]

    def to_value(self) -> dict[str, Any]:
        """As plain values."""
        named = {"line": self.line, "language": self.language, "prompt": self.prompt, "pcm_sha256": self.pcm_sha256}
        return {**named, "trials": [each.to_value() for each in self.outcomes]}


async def run(config: Config, tried: tuple[Subject, ...], say: Say) -> tuple[tuple[Tested, ...], str]:
    """Every trial of these, and which engine it was. `Unavailable` where this machine could not do it."""
    with (
        Phone("6000", says=voice(660), rings_s=0) as staff,
        copied(config, tried, staff_port=staff.port) as house,
    ):
        initialise(house.config)
        return await _Run(house, say).run()


class _Run:
    def __init__(self, house: Copy, say: Say) -> None:
        self._house, self._say = house, say
        self._clock = SystemClock()
        self._story = Story(self._clock.boottime_ns, lambda _words: None)

    async def run(self) -> tuple[tuple[Tested, ...], str]:
        # the voices are tones: memory that swaps gives nobody away here
        built = build_agent(self._house.config, watch=self._story.watch, allow_unsafe_memory=True)
        try:
            return await self._with_agent(built)
        finally:
            built.close()

    async def _with_agent(self, built: Built) -> tuple[tuple[Tested, ...], str]:
        stop, ready = asyncio.Event(), asyncio.Event()
        agent = asyncio.create_task(built.agent.run(stop, ready=ready.set))
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({agent, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.is_set():
                await agent
            engine = built.agent.engine.build if built.agent.engine else ""
            return tuple([await self._test(each) for each in self._house.subjects]), engine
        finally:
            waiting.cancel()
            stop.set()
            await agent

    async def _test(self, tried: Subject) -> Tested:
        prompt = prompt_of(self._house.config, tried)
        self._say(f"Line {tried.line.name}, {tried.language}: {prompt.record.name}")
        outcomes = []
        for trial in Trial:
            outcomes.append(await self._try(trial, tried, prompt))
            self._say(f"  {outcomes[-1].trial.value}: {outcomes[-1].what}")
        return Tested(
            line=tried.line.name,
            language=tried.language,
            prompt=prompt.record.name,
            pcm_sha256=prompt.record.pcm_sha256,
            outcomes=tuple(outcomes),
        )

    async def _try(self, trial: Trial, tried: Subject, prompt: ApprovedPrompt) -> Outcome:
        if trial is not Trial.ALTERED:
            return await self._call(trial, tried, prompt)
        file = self._house.register / prompt.record.file
        before = spoil(file)
        try:
            return await self._call(trial, tried, prompt)
        finally:
            write_file(file, before, mode=READABLE)

    async def _call(self, trial: Trial, tried: Subject, prompt: ApprovedPrompt) -> Outcome:
        with Phone(CALLER, says=voice(440)) as caller:
            if trial is Trial.ONE_WAY:
                caller.mute()
            self._story.begins("")
            caller.call(f"sip:{tried.dialled}@{LOOPBACK}:{self._house.port}", (LOOPBACK, self._house.port))
            if trial in ACTS and await self._story.until(c.PlayNotice, within_s=_ANSWER_S):
                await asyncio.sleep(_INTO_THE_NOTICE_S)
                ACTS.get(trial, nothing)(caller)
            await self._story.until(e.LegsBridged, e.LegEnded, within_s=_CONNECTED_S)
            if trial is Trial.HEARD:
                await self._story.until(c.StartRecording, within_s=_ANSWER_S)
            await asyncio.sleep(_TALK_S)
            caller.hang_up()
            await self._story.until(c.CloseCall, within_s=_SETTLED_S)
            heard = await asyncio.to_thread(verify, prompt.template(), caller.heard)
        return outcome_of(trial, await self._closed(self._story.uid), heard)

    async def _closed(self, uid: str) -> dict[str, Any]:
        deadline = time.monotonic() + _SETTLED_S
        while time.monotonic() < deadline:
            if found := await asyncio.to_thread(newest, self._house.config.ledger.database, Kind.CALL_CLOSED, uid):
                return dict(found.body)
            await asyncio.sleep(0.1)
        raise Unavailable(f"the call was not closed after {_SETTLED_S:g} s", next_step=QUIET)


def prompt_of(config: Config, tried: Subject) -> ApprovedPrompt:
    """What this line plays now. `Broken` where there is nothing that it may play."""
    found = Register.load(config.notice.register).choose(tried.line.notice or "", tried.language, SystemClock().utc())
    if not isinstance(found, ApprovedPrompt):
        raise Broken(f"line {tried.line.name}: {found.what}", next_step=found.next_step)
    return found


# ---------------------------------------------------------------- the agent that runs


def through_the_agent(config: Config, tried: Subject) -> tuple[bool, str]:
    """One call to the agent that runs, which hangs up as soon as it heard the notice: whether it heard the whole, in a
    sentence. `Unavailable` where this call cannot be made from here. Blocking, about as long as the notice.
    """
    listen = next((each for each in config.sip.listen if each.transport is Transport.UDP), None)
    if listen is None or ":" in listen.host or config.sip.srtp == "required":
        raise Unavailable(
            "the agent takes no plain call over UDP and IPv4: its own door was not tried",
            next_step="call the line with a telephone, and compare what you hear",
        )
    prompt = prompt_of(config, tried)
    with Phone(CALLER, says=voice(440), host=listen.host) as caller:
        caller.call(f"sip:{tried.line.dialled[0]}@{listen.host}:{listen.port}", (listen.host, listen.port))
        if not caller.answered.wait(_ANSWER_S):
            step = f"see `callrec agent status`; {listen.host} must be in sip.allow_from and sip.media_from"
            raise Unavailable(f"line {tried.line.name}: the running agent did not answer", next_step=step)
        _listen(caller, samples=len(prompt.pcm) // 2)
        caller.hang_up()
        caller.over.wait(_ANSWER_S)
        heard = verify(prompt.template(), caller.heard)
    return heard.accepted, _said(heard)


def _listen(caller: Phone, *, samples: int) -> None:
    deadline = time.monotonic() + samples / 8000 + _ANSWER_S
    while len(caller.heard) < samples and time.monotonic() < deadline and not caller.over.is_set():
        time.sleep(0.02)
    time.sleep(0.1)


def _said(heard: Verification) -> str:
    if heard.accepted:
        return f"the running agent's caller heard {heard.coverage:.1%} of the notice's speech"
    return f"the running agent's caller did not hear the whole notice: {'; '.join(heard.reasons)}"


def in_default_language(tried: tuple[Subject, ...]) -> tuple[Subject, ...]:
    """One for each line that can be called: what a caller hears who chooses nothing. A line that calls outside is tried
    in the test's own agent alone: through the running one it would ring at somebody's home.
    """
    first = {each.line.name: each for each in reversed(tried) if each.line.direction is CallDirection.INBOUND}
    return tuple(replace(each, language=each.line.languages[0]) for each in reversed(first.values()))
