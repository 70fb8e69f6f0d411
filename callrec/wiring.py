"""The one chooser of implementations: from a Config to objects. Imports the SIP engine only where an agent is built."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from callrec.agent import leftovers
from callrec.agent.agent import Agent, House, Watch
from callrec.agent.clock import SystemClock
from callrec.agent.judging import Judge
from callrec.agent.limits import raise_open_files
from callrec.agent.services import Services
from callrec.config import Config
from callrec.config.certificates import check_certificate
from callrec.config.key_files import require_key_files
from callrec.core.proof import judge
from callrec.core.proposals import SECRET_LEAST
from callrec.core.reasons import Reason
from callrec.core.recording import RecordingState
from callrec.core.values import CallDirection
from callrec.errors import ConfigError, Unavailable
from callrec.ledger.anchor import AnchorShipper, PrefixGate
from callrec.ledger.log import SqlLedger
from callrec.ledger.logfile import commit
from callrec.ledger.lookup import VerifiedLookup
from callrec.ledger.reading import open_log
from callrec.notice.announcements import Announcements, to_staff
from callrec.notice.manifest import PromptKind
from callrec.notice.register import ApprovedPrompt, Shelf, Unusable
from callrec.places import anchors, evidence_dir, index_database, key_file, open_ledger, rules, standing
from callrec.ports import Clock, Invite, Kept, Sealed, Telephony
from callrec.recording.memory import memory_hazards, share_memory_pools, wipe_freed_memory
from callrec.recording.mover import Mover
from callrec.recording.sealing import SealingProcess
from callrec.recording.spool import Spool
from callrec.store.configured import store_of
from callrec.store.index import Index, row_from_manifest
from callrec.store.keys import FileKeyRing

Commit = Callable[..., None]
_REPLAY_S: Final = 5.0


@dataclass(slots=True, kw_only=True)
class Faults:
    """Doors for faults that a test wants to see: nothing else opens them."""

    judge_by: Judge = judge
    commit: Commit = commit


@dataclass(slots=True, kw_only=True)
class Built:
    """An agent and what must be closed after it."""

    agent: Agent
    ledger: SqlLedger
    index: Index

    def close(self) -> None:
        """Release ledger and index. Idempotent."""
        self.ledger.close()
        self.index.close()


def build_agent(
    config: Config,
    *,
    watch: Watch = lambda _uid, _what: None,
    telephony: Telephony | None = None,
    faults: Faults | None = None,
    allow_unsafe_memory: bool = False,
) -> Built:
    """Everything an agent needs, opened; ConfigError where something is not there or not as it must be, `Unavailable`
    where another agent has the ledger. A database or store that is away is waited for: calls go through meanwhile.
    """
    faults = faults or Faults()
    clock = SystemClock()
    raise_open_files(config.agent.max_calls)
    check_certificate(config, clock.utc())
    require_key_files(config)
    ledger = open_ledger(config, clock, holder=f"agent {config.agent.name}", commit=faults.commit, patient=True)
    try:
        index = Index(index_database(config), patient=True)
        sip = telephony or build_telephony(config, clock)
        services = _services(config, clock=clock, ledger=ledger, index=index, telephony=sip, judge_by=faults.judge_by)
    except BaseException:
        ledger.close()
        raise
    outside = anchors(config)
    gate = PrefixGate(config.ledger.database, outside, ledger.public_key)
    services.standing_obstacle = _standing_obstacle(config, gate, allow_unsafe_memory=allow_unsafe_memory)
    shipper = AnchorShipper(ledger, outside, gate=gate) if outside else None
    house = House(services=services, shipper=shipper, read_back=lambda: _read_back(ledger), watch=watch)
    return Built(agent=Agent(house), ledger=ledger, index=index)


def _services(
    config: Config, *, clock: Clock, ledger: SqlLedger, index: Index, telephony: Telephony, judge_by: Judge
) -> Services:
    spool = Spool(config.spool.path, config.agent.runtime_dir, reserve_s=config.spool.reserve_s)
    lookup = VerifiedLookup(config.ledger.database, ledger.public_key)
    store = store_of(config, lookup, evidence_dir(config))
    with suppress(Unavailable):  # a store that is away now is the mover's to wait for
        store.require_fit()
    mover = Mover(spool, store, ledger, lookup, notify=_ignore, on_kept=_indexer(index))
    return Services(
        config=config,
        clock=clock,
        telephony=telephony,
        ledger=ledger,
        log_id=ledger.log_id,
        keys=FileKeyRing(key_file(config, "keeper")),
        spool=spool,
        sealer=SealingProcess(spool),
        mover=mover,
        choose_prompt=_chooser(config, clock),
        rules=rules(config),
        standing=standing(config),
        evidence_dir=evidence_dir(config),
        mishap=lambda _uid, _what: None,
        announcements=Announcements(config.notice.register, clock.utc),
        staff_words=to_staff(config.notice.register, clock.utc),
        judge_by=judge_by,
        choose_script=_chooser(config, clock, PromptKind.CONSENT),
        purpose_secret=_purpose_secret(config),
        tidy_store=store.clear_unfinished,
    )


def _purpose_secret(config: Config) -> bytes | None:
    """What the PBX shares with us. ConfigError where it is not there, or so short that it could be guessed."""
    if config.sip.purpose_token is None:
        return None
    secret = config.sip.purpose_token.read()
    if len(secret) < SECRET_LEAST:
        step = f"write at least {SECRET_LEAST} letters and digits into it, as `openssl rand -hex 24` prints them"
        raise ConfigError(f"sip.purpose_token: {config.sip.purpose_token} is too short", next_step=step)
    return secret


def _ignore(_message: str) -> None:
    """The mover's incidents stand in the ledger."""


def _indexer(index: Index) -> Callable[[Sealed, Kept, str], None]:
    def on_kept(sealed: Sealed, _kept: Kept, leaf: str) -> None:
        if index.get(sealed.recording_id) is None:
            index.add(row_from_manifest(sealed.manifest, RecordingState.KEPT, kept_leaf=leaf))

    return on_kept


def _chooser(
    config: Config, clock: Clock, kind: PromptKind = PromptKind.NOTICE
) -> Callable[[str, str], ApprovedPrompt | Unusable]:
    """The register is looked at anew for each call: an approval or a retirement counts from the next call on."""
    shelf = Shelf(config.notice.register)

    def choose(prompt_id: str, language: str) -> ApprovedPrompt | Unusable:
        try:
            register = shelf.register()
        except ConfigError as error:
            return Unusable(reason=Reason.NOTICE_MISSING, what=str(error), next_step=error.next_step)
        return register.choose(prompt_id, language, clock.utc(), kind)

    return choose


def _standing_obstacle(
    config: Config, gate: PrefixGate, *, allow_unsafe_memory: bool
) -> Callable[[], tuple[Reason, str] | None]:
    """What forbids recording, whatever the call: memory for as long as this process runs; anchors that contradict the
    ledger for as long as they do, and anchors that are away until they answer.
    """
    wipe_freed_memory()
    share_memory_pools()
    hazards = memory_hazards(config.agent.runtime_dir)  # forbids core dumps in any case
    unsafe = "" if allow_unsafe_memory else "; ".join(hazards)
    gate.look()

    def obstacle() -> tuple[Reason, str] | None:
        if unsafe:
            return Reason.MEMORY_UNSAFE, unsafe
        return (Reason.LEDGER_UNAVAILABLE, gate.why) if gate.why else None

    return obstacle


def _read_back(ledger: SqlLedger) -> leftovers.Leftovers:
    """What earlier runs left, once all that they set aside is in the log. Entries of this run are its own to end."""
    if (trouble := ledger.trouble()) or not ledger.wait_replayed(_REPLAY_S):
        raise Unavailable(f"the ledger cannot be read back: {trouble or 'its side journal waits'}")
    with open_log(ledger.database) as log:
        return leftovers.find(entry for entry in log.newest_first() if entry.agent_run != ledger.agent_run)


def build_telephony(config: Config, clock: Clock) -> Telephony:
    """The SIP engine. ConfigError where none is installed, saying how to get one."""
    try:
        from callrec.sip.settings import SipSettings, Srtp, Tls, Trunk  # noqa: PLC0415 - only an agent needs the engine
        from callrec.sip.telephony import PjsuaTelephony  # noqa: PLC0415
    except ImportError as error:
        step = "pip install 'callrec[eval]' for a trial on loopback, or build the production engine"
        raise ConfigError(f"no SIP engine can be loaded: {error}", next_step=step) from error
    sip = config.sip
    trunks = {
        trunk.name: Trunk(
            uri=str(trunk.uri),
            user=trunk.user or "",
            password=trunk.password.read().decode() if trunk.password else "",
            register=trunk.register,
            leg_ends_at=trunk.leg_ends_at,
        )
        for trunk in sip.trunks
    }
    tls = sip.tls and Tls(
        cert=sip.tls.cert, key=sip.tls.key.read(), ca=sip.tls.ca, require_client=sip.tls.require_client
    )
    settings: dict[str, Any] = {
        "listen": tuple(str(listen) for listen in sip.listen),
        "rtp_ports": (sip.rtp_ports.first, sip.rtp_ports.last),
        "allow_from": sip.allow_from,
        "media_from": sip.media_from,
        "public_address": sip.public_address,
        "codecs": sip.codecs,
        "srtp": Srtp[sip.srtp.upper()],
        "tls": tls,
        "trunks": trunks,
        "max_calls": config.agent.max_calls,
        "max_setups_per_s": config.agent.max_setups_per_s,
        "runtime_dir": config.agent.runtime_dir,
    }

    def direction_of(invite: Invite) -> CallDirection:
        line = config.line_for(invite.dialled, invite.source)
        return line.direction if line is not None else CallDirection.INBOUND

    return PjsuaTelephony(SipSettings(**settings), clock, direction_of=direction_of)
