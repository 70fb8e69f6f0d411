"""Before anything is promised: what stands in the way of recording, and the line's rules as the core's plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from callrec import config
from callrec.agent.bodies import numbers_of
from callrec.agent.services import Services
from callrec.agent.writing import CallWriter
from callrec.config import CaptureFrom, Line, NotInformed, OnNoNotice, Record, Target
from callrec.core.call import CallPlan, Keys, StaffCodes
from callrec.core.consent import Script
from callrec.core.kinds import Kind
from callrec.core.numbers import comparable
from callrec.core.proposals import proposed
from callrec.core.reasons import Reason
from callrec.core.values import CallDirection, Leg, Order
from callrec.errors import CallrecError, Unavailable
from callrec.notice.register import ApprovedPrompt, Unusable
from callrec.ports import Invite

ASK_S: Final = 1.0
"""How long a call waits for the disks of prompt and spool before it goes on unrecorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The core's plan, the prompt that would be played, and a sentence for people where there is an obstacle."""

    plan: CallPlan
    prompt: ApprovedPrompt | None
    language: str
    language_source: str
    why: str = ""
    denied: tuple[tuple[str, str], ...] = ()
    """What the PBX asked for and does not get, with why."""
    uninformed: tuple[int, ...] = ()
    """Destinations of the line, by number, where nobody acknowledged the recording policy (R53)."""
    script: ApprovedPrompt | None = None
    """What asks for consent in the caller's language, where the line has one (R20)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The language that the caller chose by a key, and how that is told in evidence: `key 5`."""

    language: str
    source: str


async def prepare(services: Services, line: Line, invite: Invite, *, chosen: Chosen | None = None) -> Prepared:
    """Ask everything that recording needs (design: Life of a call, 2). Any no: the call is carried unrecorded. A
    language that the caller has `chosen` by key goes before whatever else would choose one.
    """
    language, source = choose_language(line, invite, country=services.config.sip.country_code)
    if chosen is not None:
        language, source = chosen.language, chosen.source
    found = await _ask(services, line, language, partial(_people, services, line, invite))
    obstacle = found.obstacle
    asked = proposed(invite.headers, call_id=invite.sip_call_id, secret=services.purpose_secret, line=line.purposes)
    script = await _script(services, line, language) if obstacle is None else None
    must_know = services.config.staff.not_informed is NotInformed.REFUSE
    plan = replace(
        _plan(services, line, obstacle, found.prompt),
        purposes=asked.purposes,
        declined_before=found.people.refused,
        script=script_of(script) if script else None,
        uninformed=frozenset(found.people.uninformed if must_know else ()),
    )
    return Prepared(
        plan=plan,
        uninformed=found.people.uninformed,
        prompt=found.prompt,
        language=language,
        language_source=source,
        why=found.why,
        denied=asked.denied,
        script=script,
    )


async def _script(services: Services, line: Line, language: str) -> ApprovedPrompt | None:
    """What asks for consent. Where there is none, or the disk does not say, nobody is asked; the call is recorded for
    what its notice names all the same.
    """
    if line.consent is None:
        return None
    try:
        found = await asyncio.wait_for(asyncio.to_thread(services.choose_script, line.consent, language), ASK_S)
    except (TimeoutError, CallrecError):
        return None
    return found if isinstance(found, ApprovedPrompt) else None


def script_of(prompt: ApprovedPrompt) -> Script:
    """What the core knows of a prompt that asks for consent."""
    record = prompt.record
    return Script(
        prompt_id=record.id,
        version=record.version,
        language=record.language,
        pcm_sha256=record.pcm_sha256,
        approval_leaf=record.approved.leaf if record.approved else "",
        purposes=frozenset(record.purposes),
        asks=frozenset(record.asks),
        agree=record.key_for("agree"),
        refuse=record.key_for("refuse"),
        essential_ms=record.essential_ms,
    )


def _people(services: Services, line: Line, invite: Invite) -> People:
    """What stands written of those in this call (R39, R53). Blocking; `Unavailable` where it cannot be told whether the
    outside party has a standing refusal: nothing is recorded then.
    """
    try:
        refused = services.standing.refuses(numbers_of(invite, line))
    except CallrecError as error:
        raise Unavailable(f"standing refusals cannot be asked: {error}", next_step=error.next_step) from error
    return People(refused=refused, uninformed=_uninformed(services, line, invite))


def _uninformed(services: Services, line: Line, invite: Invite) -> tuple[int, ...]:
    names = [staff_of(line, target, invite) for target in line.targets]
    return tuple(number for number, name in enumerate(names) if not _acknowledged(services, name))


def staff_of(line: Line, target: Target, invite: Invite) -> str:
    """Who of the line is in the call: whoever is called there, or on an outbound call whoever called us."""
    return invite.from_uri if line.direction is CallDirection.OUTBOUND else target.written


def _acknowledged(services: Services, identity: str) -> bool:
    """Also where no version of the policy is configured; not where it cannot be told."""
    version = services.config.staff.policy_version
    try:
        return version is None or services.standing.informed(identity, version)
    except CallrecError:
        return False


def is_informed(services: Services, identity: str) -> bool:
    """Whether recording goes on with this person: they acknowledged the policy, or need not have (R53). Blocking."""
    return services.config.staff.not_informed is NotInformed.WARN or _acknowledged(services, identity)


def note_uninformed(writer: CallWriter, prepared: Prepared) -> None:
    """Said in the ledger whatever is done about it: which destinations, by their number."""
    if prepared.uninformed:
        numbers = ", ".join(map(str, prepared.uninformed))
        said = {"leg": Leg.STAFF.value, "what": "policy not acknowledged", "cause": f"destination {numbers}"}
        writer.note(Kind.LEG_CHANGED, said)


def note_declined(writer: CallWriter, prepared: Prepared, *, linked: bool) -> CallPlan:
    """The plan, with what the caller said before this call: in another of the same linked call, or once and for all. It
    stands in the ledger as a choice of this call.
    """
    standing = prepared.plan.declined_before
    if linked or standing:
        method = "standing refusal" if standing else "earlier in the linked call"
        said = {"digit": "", "choice": "decline", "leg": Leg.CALLER.value, "method": method}
        writer.note(Kind.CHOICE_MADE, said)
    return replace(prepared.plan, declined_before=linked or standing)


def note_denied(writer: CallWriter, call_uid: str, prepared: Prepared) -> None:
    """Every attempt to widen is in the ledger (R22)."""
    for purpose, why in prepared.denied:
        said = {"recording_id": f"{call_uid}-0", "person": "pbx", "action": "propose"}
        writer.note(Kind.ACCESS_DENIED, {**said, "purpose": purpose, "why": why})


def without_recording(services: Services, line: Line, reason: Reason, why: str) -> Prepared:
    """The plan of a call that is carried unrecorded, where nothing else could be found out."""
    plan = _plan(services, line, reason, None)
    return Prepared(plan=plan, prompt=None, language="", language_source="", why=why)


def choose_language(line: Line, invite: Invite, *, country: str) -> tuple[str, str]:
    """Of the line's languages: as a trusted header says, else as the number that was dialled, else the first (R59)."""
    if line.language_header:
        asked = invite.headers.get(line.language_header, "").strip().lower()
        if asked in line.languages:
            return asked, f"header {line.language_header}"
    dialled = comparable(invite.dialled, country=country)
    for language, numbers in line.language_numbers:
        if dialled in {comparable(each, country=country) for each in numbers}:
            return language, "number dialled"
    return line.languages[0] if line.languages else "", "line default"


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Whether the outside party refused for good, and destinations where nobody acknowledged the policy."""

    refused: bool = False
    uninformed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The prompt that would be played, or why a call would be carried unrecorded, with a sentence for people."""

    prompt: ApprovedPrompt | None = None
    obstacle: Reason | None = None
    why: str = ""
    people: People = field(default_factory=People)


async def first_obstacle(services: Services, line: Line, language: str) -> Found:
    """The prompt that would be played now, or why this line's calls are carried unrecorded."""
    return await _ask(services, line, language, People)


async def _ask(services: Services, line: Line, language: str, people: Callable[[], People]) -> Found:
    if line.record is Record.NEVER or line.notice is None:
        return Found(obstacle=Reason.LINE_NOT_RECORDED, why="the line is configured so")
    if standing := _whatever_the_line(services):
        return standing
    if language not in line.languages:
        why = f"the caller chose {language}, and this line has {line.languages}"
        return Found(obstacle=Reason.WRONG_LANGUAGE, why=why)
    return await _disks(partial(_ask_disks, services, line.notice, language, people))


def _whatever_the_line(services: Services) -> Found | None:
    """What forbids recording on every line now."""
    if standing := services.standing_obstacle():
        return Found(obstacle=standing[0], why=standing[1])
    if trouble := services.ledger.trouble():
        return Found(obstacle=Reason.LEDGER_UNAVAILABLE, why=f"the ledger cannot be written: {trouble}")
    if services.unsettled:
        why = f"what an earlier run left is not settled yet: {services.unsettled}"
        return Found(obstacle=Reason.LEDGER_UNAVAILABLE, why=why)
    if services.sealer.trouble:
        why = f"no recording could be sealed: {services.sealer.trouble}"
        return Found(obstacle=Reason.STORE_UNAVAILABLE, why=why)
    return None


async def _disks(ask: Callable[[], Found]) -> Found:
    """All disks in one go: each way to a worker and back costs a call more than the answers."""
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, ask), ASK_S)
    except TimeoutError:
        why = f"prompt, spool and standing refusals did not answer within {ASK_S:g} s"
        return Found(obstacle=Reason.STORE_UNAVAILABLE, why=why)
    except CallrecError as error:
        return Found(obstacle=Reason.STORE_UNAVAILABLE, why=str(error))


def _ask_disks(services: Services, notice: str, language: str, people: Callable[[], People]) -> Found:
    services.spool.reserve()
    found = services.choose_prompt(notice, language)
    if isinstance(found, Unusable):
        return Found(obstacle=found.reason, why=f"{found.what}; {found.next_step}")
    return Found(prompt=found, people=people())


def _plan(services: Services, line: Line, obstacle: Reason | None, prompt: ApprovedPrompt | None) -> CallPlan:
    return CallPlan(
        obstacle=obstacle,
        destinations=len(line.targets),
        attempts=services.config.notice.attempts,
        purposes=line.purposes,
        keys=_keys(line, prompt),
        has_choice_window=line.choice_window_s > 0,
        waits_for_staff=line.capture_from is CaptureFrom.STAFF_JOINED,
        reject_without_notice=line.on_no_notice is OnNoNotice.REJECT,
        required_grade=line.require,
        essential_ms=prompt.record.essential_ms if prompt else 0,
        codes=_codes(services.config.staff_codes),
        pause_resumes=line.pause_resumes,
        whispers=line.staff_whisper,
        direction=line.direction,
        notice_when=line.notice_when,
        asks_most=services.config.notice.consent_max_asks,
        subject=line.subject,
    )


def _codes(configured: config.StaffCodes) -> StaffCodes:
    """The codes that are configured, each as the order it stands for."""
    orders = {order.word.replace("-", "_"): order for order in Order}
    pairs = tuple((key, orders[name]) for name, key in configured.by_name().items())
    return StaffCodes(prefix=configured.prefix or "", orders=pairs)


def _keys(line: Line, prompt: ApprovedPrompt | None) -> Keys:
    """Only keys that the notice names are live; the stop sequence counts in the talk, whatever the notice says."""
    named = set(prompt.record.keys) if prompt else set()

    def live(key: str | None) -> str | None:
        return key if key in named else None

    languages = prompt.record.languages if prompt else ()

    return Keys(
        decline=live(line.keys.decline),
        decline_training=live(line.keys.decline_training),
        repeat=live(line.keys.repeat),
        stop=line.keys.stop,
        acknowledge=live(line.keys.acknowledge),
        skip=live(line.keys.shorten),
        languages=tuple(one for one in languages if one in line.language_keys and one[1] in line.languages),
    )
