"""What a configuration meets on this machine: folders, keys, ledger, prompts, rules, ports. Reads and binds, never
writes.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from callrec.config import Config, Line, Listen, NotInformed, Record, Reference, Transport, facts_of, load_rules
from callrec.config.certificates import certificate_mistakes
from callrec.config.key_files import key_file_mistakes, mistakes_of
from callrec.control import ControlClient
from callrec.core.reasons import Reason
from callrec.core.retention import uncovered
from callrec.core.values import CallDirection
from callrec.errors import CallrecError, Unavailable
from callrec.http_door import checked_token
from callrec.ledger.anchor import DirectoryAnchor, newest
from callrec.ledger.init import load_signing_key
from callrec.ledger.reading import open_log
from callrec.notice.audio import RATE
from callrec.notice.manifest import PromptKind, PromptRecord, Status
from callrec.notice.register import ApprovedPrompt, Register, Unusable
from callrec.places import standing
from callrec.recording.memory import RAMFS_MAGIC, TMPFS_MAGIC, file_system_magic, memory_hazards
from callrec.store.configured import folder_of
from callrec.store.keys import load_public
from callrec.store.shelf import MARKER

RECORD_YOUR_OWN: Final = "record your own words: callrec prompts add FILE --id {id} --lang {language} --text @WORDS.txt"
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing found: under which key, what, and what to do. `grave`: must be mended before anything starts."""

    key: str
    what: str
    next_step: str
    grave: bool = True

    def __str__(self) -> str:
        return f"{self.key}: {self.what}; {self.next_step}" if self.next_step else f"{self.key}: {self.what}"


def _from(error: CallrecError, key: str) -> Remark:
    return Remark(key=key, what=str(error), next_step=error.next_step)


def _standing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


# ---------------------------------------------------------------- folders and memory


def _folders(config: Config) -> Iterator[Remark]:
    places = {"agent.data_dir": config.agent.data_dir, "spool.path": config.spool.path, "store.path": config.store.path}
    for key, path in places.items():
        place = _standing(path)
        if not place.is_dir():
            yield Remark(key=key, what=f"{place} is no folder", next_step="name a folder")
        elif not os.access(place, os.W_OK | os.X_OK):
            yield Remark(key=key, what=f"{place} cannot be written by this user", next_step=f"chown or chmod {place}")


def _memory(config: Config) -> Iterator[Remark]:
    place = _standing(config.agent.runtime_dir)
    in_memory = file_system_magic(place) in (TMPFS_MAGIC, RAMFS_MAGIC)
    for hazard in memory_hazards(place):
        about_place = hazard.startswith(str(place))
        why = "nothing is recorded while this is so" + (
            "" if about_place else ", unless its service unit says otherwise"
        )
        yield Remark(key="agent.runtime_dir", what=hazard, next_step=why, grave=about_place and not in_memory)


# ---------------------------------------------------------------- keys and ledger


def _keys(config: Config) -> Iterator[Remark]:
    told = set()
    for key, what, step in key_file_mistakes(config):
        told.add(key)
        yield Remark(key=key, what=what, next_step=step)
    readers: tuple[tuple[str, Reference, Callable[[Path], object]], ...] = (
        ("keys.wrap_to", config.keys.wrap_to, load_public),
        ("keys.signing", config.keys.signing, load_signing_key),
    )
    for key, reference, read in readers:
        try:
            if reference.path is None:
                reference.read()
            elif key not in told:
                read(reference.path)
        except CallrecError as error:
            yield _from(error, key)


def _refusals(config: Config) -> Iterator[Remark]:
    """The key of standing refusals lies beside the one that signs. Lost it finds none; others try numbers with it."""
    try:
        register = standing(config)
        register.require_key()
    except CallrecError as error:
        if config.keys.signing.path is not None:  # else that is told with the keys
            yield _from(error, "keys.signing")
        return
    for key, what, step in mistakes_of(config, "keys.signing", register.key):
        yield Remark(key=key, what=what, next_step=step)


def _secrets(config: Config) -> Iterator[Remark]:
    for key, what, step in certificate_mistakes(config, datetime.now(UTC)):
        yield Remark(key=key, what=what, next_step=step)
    held: list[tuple[str, Reference | None]] = [("ledger.password", config.ledger.password)]
    held += [(f"sip.trunks.{trunk.name}.password", trunk.password) for trunk in config.sip.trunks]
    if config.http is not None:
        held.append(("http.token", config.http.token))
        yield from _http_token(config.http.token)
    if s3 := config.store.s3:
        held += [("store.s3.access_key", s3.access_key), ("store.s3.secret_key", s3.secret_key)]
    for key, reference in held:
        try:
            if reference is not None and reference.read() and reference.path and _open_to_others(reference.path):
                what = f"{reference.path} can be read by others than its owner"
                yield Remark(key=key, what=what, next_step=f"chmod 400 {reference.path}")
        except CallrecError as error:
            yield _from(error, key)


def _http_token(token: Reference) -> Iterator[Remark]:
    try:
        value = token.read()
    except CallrecError:
        return  # told with the other secrets
    try:
        checked_token(value, at=str(token))
    except CallrecError as error:
        yield _from(error, "http.token")


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & _OPEN_TO_OTHERS)


def _ledger(config: Config) -> Iterator[Remark]:
    try:
        with open_log(config.ledger.database) as log:
            key = log.key()
        held = newest([DirectoryAnchor(anchor.path) for anchor in config.ledger.anchors], key)
    except CallrecError as error:
        yield _from(error, "ledger.url")
        return
    if held is None:
        step = "name a folder of another machine, and give its checkpoints to your auditor"
        yield Remark(key="ledger.anchors", what="anchored outside: never", next_step=step, grave=False)


def _initialised(config: Config) -> bool:
    try:
        with open_log(config.ledger.database):
            return True
    except CallrecError:
        return False


def _store(config: Config) -> Iterator[Remark]:
    if not _initialised(config):
        return
    folder = folder_of(config)
    if folder is not None and not (folder / MARKER).is_file():
        what = f"there is no store at {folder}: recordings would wait in the spool"
        yield Remark(key="store.path", what=what, next_step="mount its disk, or correct the path")
    elif not (config.store.keys / MARKER).is_file():
        what = f"{config.store.keys} holds the wrapped keys of no store: recordings would wait in the spool"
        yield Remark(key="store.keys", what=what, next_step="mount its disk, correct the path, or run `callrec init`")


# ---------------------------------------------------------------- notices


def missing_notices(config: Config) -> Iterator[Remark]:
    """Notices of recorded lines that are not there at all. An agent does not start like this: nothing could ever be
    recorded. One that vanishes later costs recordings, and nothing else.
    """
    try:
        register = Register.load(config.notice.register)
    except CallrecError as error:
        yield _from(error, "notice.register")
        return
    for line in (line for line in config.lines if line.record is Record.IF_PROVEN and line.languages):
        found = register.choose(line.notice or "", line.languages[0], datetime.now(UTC))
        if isinstance(found, Unusable) and found.reason is Reason.NOTICE_MISSING:
            yield _not_usable(register, line, line.languages[0], found)


def _prompts(config: Config) -> Iterator[Remark]:
    lines = [line for line in config.lines if line.record is Record.IF_PROVEN and line.notice]
    try:
        register = Register.load(config.notice.register)
    except CallrecError as error:
        yield _from(error, "notice.register")
        return
    for line in lines:
        for language in line.languages:
            yield from _prompt(config, register, line, language)
            if line.consent is not None:
                yield from _script(config, register, line, language)


def _prompt(config: Config, register: Register, line: Line, language: str) -> Iterator[Remark]:
    at = f"lines.{line.name}.notice"
    found = register.choose(line.notice or "", language, datetime.now(UTC))
    if isinstance(found, Unusable):
        yield _not_usable(register, line, language, found)
        return
    if found.record.sample:
        yield _sample(at, found.record)
    if len(found.pcm) // 2 > config.notice.longest_s * RATE:
        what = f"{found.record.name} is longer than notice.longest_s of {config.notice.longest_s}"
        yield Remark(key=at, what=what, next_step="say it in fewer words")
    yield from _promised(line, language, found)


def _script(config: Config, register: Register, line: Line, language: str) -> Iterator[Remark]:
    """What asks for consent: it is the notice of what is recorded after a yes, so that it must name what that did."""
    at, kind = f"lines.{line.name}.consent", PromptKind.CONSENT
    found = register.choose(line.consent or "", language, datetime.now(UTC), kind)
    if isinstance(found, Unusable):
        yield Remark(key=at, what=f"{found.what}: nobody is asked", next_step=found.next_step, grave=False)
        return
    said = found.record.purposes.keys() | found.record.asks.keys()
    if missing := sorted(p.value for p in line.purposes - said):
        what = f"{found.record.name} does not name {', '.join(missing)}: after a yes the call is not kept for that"
        yield Remark(key=at, what=what, next_step="have it say so, or ask for it", grave=False)
    if not config.staff_codes.prefix or not (config.staff_codes.training or config.staff_codes.agreed):
        what = "no code of staff asks for it"
        yield Remark(key=at, what=what, next_step="write staff_codes.training, or leave consent out", grave=False)


def _not_usable(register: Register, line: Line, language: str, found: Unusable) -> Remark:
    at = f"lines.{line.name}.notice"
    those = [each for each in register.records if (each.id, each.language) == (line.notice, language)]
    if those and all(each.status is Status.SAMPLE for each in those):
        return _sample(at, those[-1])
    return Remark(key=at, what=found.what, next_step=found.next_step)


def _sample(at: str, record: PromptRecord) -> Remark:
    step = RECORD_YOUR_OWN.format(id=record.id, language=record.language)
    return Remark(key=at, what=f"{record.name}: this is our sample", next_step=step, grave=False)


def _promised(line: Line, language: str, found: ApprovedPrompt) -> Iterator[Remark]:
    """What the line does must be what the notice says. In a language that is not the default, less is less: its
    calls have fewer purposes and keys, and a person should know.
    """
    grave = language == line.languages[0]
    name, at = found.record.name, f"lines.{line.name}"
    if missing := sorted(p.value for p in line.purposes - found.record.purposes.keys()):
        what = f"{name} does not name {', '.join(missing)}: no call that hears it is kept for that"
        yield Remark(key=f"{at}.purposes", what=what, next_step="name only what the notice names", grave=grave)
    taken = {"decline": line.keys.decline, "decline_training": line.keys.decline_training, "repeat": line.keys.repeat}
    taken["acknowledge"] = line.keys.acknowledge
    for meaning, key in taken.items():
        if key and found.record.keys.get(key) != meaning:
            what = f"{name} does not tell callers to press {key} for this"
            yield Remark(
                key=f"{at}.keys.{meaning}", what=what, next_step="take only keys the notice names", grave=grave
            )
    for key, meaning in found.record.keys.items():
        if meaning in taken and taken[meaning] != key:
            what = f"{name} tells callers to press {key} for this, and the line does not take it"
            yield Remark(key=f"{at}.keys.{meaning}", what=what, next_step=f'write {meaning}: "{key}"')


# ---------------------------------------------------------------- staff


def _staff(config: Config) -> Iterator[Remark]:
    """Whoever answers and did not acknowledge the policy: recorded all the same, or not, as configured."""
    version = config.staff.policy_version
    if version is None:
        return
    refuses = config.staff.not_informed is NotInformed.REFUSE
    for written, key in _places_of_staff(config).items():
        if not standing(config).informed(written, version):
            what = f"nobody at {written} acknowledged policy {version}"
            what += ": calls that they answer are not recorded" if refuses else ""
            yield Remark(key=key, what=what, next_step=f"callrec staff add {written}", grave=False)


def _places_of_staff(config: Config) -> dict[str, str]:
    """Each destination of recorded lines, once, and where it is named first. Whoever calls out is known by the call."""
    found: dict[str, str] = {}
    recorded = (line for line in config.lines if line.record is Record.IF_PROVEN)
    for line in (line for line in recorded if line.direction is CallDirection.INBOUND):
        for i, target in enumerate(line.targets):
            key = f"lines.{line.name}.destination" if i == 0 else f"lines.{line.name}.fallback[{i - 1}]"
            found.setdefault(target.written, key)
    return found


# ---------------------------------------------------------------- retention


def _retention(config: Config) -> Iterator[Remark]:
    try:
        rules = load_rules(config.retention.rules)
    except CallrecError as error:
        yield _from(error, "retention.rules")
        return
    today = datetime.now(UTC).date()
    for line in (line for line in config.lines if line.record is Record.IF_PROVEN):
        for what in uncovered(rules, facts_of(line, today), line.purposes):
            step = f"add a rule to {config.retention.rules}; nothing is kept without one (R44)"
            yield Remark(key=f"lines.{line.name}.purposes", what=what, next_step=step)


# ---------------------------------------------------------------- ports


def agent_runs(config: Config) -> bool:
    """True where an agent answers on this configuration's control socket, whatever it answers."""
    try:
        ControlClient(config.agent.control_socket).ask("status")
    except Unavailable:
        return False
    except CallrecError:
        return True
    return True


def _ports(config: Config) -> Iterator[Remark]:
    if agent_runs(config):
        return  # they are in use, by the agent of this very configuration
    for i, listen in enumerate(config.sip.listen):
        if why := why_not_bound(listen):
            what = f"{listen} cannot be listened on: {why}"
            yield Remark(key=f"sip.listen[{i}]", what=what, next_step="stop what uses it, or choose another")
    if config.http is not None:
        listen = Listen(transport=Transport.TCP, host=config.http.listen.host, port=config.http.listen.port)
        if why := why_not_bound(listen):
            what = f"{config.http.listen} cannot be listened on: {why}"
            yield Remark(key="http.listen", what=what, next_step="stop what uses it, or choose another")


def why_not_bound(listen: Listen) -> str:
    """Why this address cannot be bound now, or nothing. SO_REUSEADDR as the engine sets it for TCP."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    kind = socket.SOCK_DGRAM if listen.transport is Transport.UDP else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listen.host, listen.port))
    except OSError as error:
        return error.strerror or str(error)
    return ""


CHECKS: Final[tuple[Callable[[Config], Iterator[Remark]], ...]] = (
    _folders,
    _memory,
    _keys,
    _refusals,
    _secrets,
    _ledger,
    _store,
    _prompts,
    _staff,
    _retention,
    _ports,
)


def look_around(config: Config) -> tuple[Remark, ...]:
    """Everything found, grave or not, in the order of CHECKS. Blocking."""
    return tuple(remark for check in CHECKS for remark in check(config))
