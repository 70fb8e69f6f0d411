"""Every key there is, as data: path, kind, default, and what it is for. Nothing else may stand in the file.

In a path `*` is a name of the operator's own and `[]` one item of a list. A key without default must be written; one
whose default is None may be null. No key starts a recording, and none switches the notice off while recording (R41):
what a key can do for recording is to prevent it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from callrec.config import outside, values
from callrec.config.choices import CaptureFrom, NotInformed, OnNoNotice, PbxEvents, Record
from callrec.config.kinds import Choice, Flag, Kind, ListOf, Share, Text, Whole
from callrec.config.stores import StoreKind
from callrec.core.purposes import Role
from callrec.core.retention import LineKind, Nation, Subject
from callrec.core.values import CallDirection, Grade, NoticeWhen, Purpose


@unique
class Must(Enum):
    """In place of a default."""

    BE_WRITTEN = "must be written"


@unique
class Shape(Enum):
    """Keys that hold other keys."""

    SECTION = "section"
    NAMES = "names"
    ITEMS = "items"


Plain = str | int | float | bool | None | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table."""

    path: str
    kind: Kind | ListOf | Shape
    doc: str
    default: Plain | Must = Must.BE_WRITTEN
    may_be_null: bool = False
    """True where null says "none" beside a default; a key whose default is null may be null in any case."""


_ANY: Final = Text(values.any_text)
_NAME: Final = Text(values.short_name)
_REFERENCE: Final = Text(values.reference, secret=True)
_NETWORKS: Final = ListOf(Text(values.network), least=1)
_ENDS_AT: Final = Choice(("carrier", "sbc", "pbx", "phone"))
_SUBJECTS: Final = (Subject.ADULT, Subject.CHILD, Subject.UNKNOWN)
_TARGET: Final = Text(outside.target_uri)
_KEY: Final = Text(values.choice_key)
_CODE: Final = Text(values.code_key)
_PREFIX: Final = Text(values.code_prefix)
_TWENTY_SECONDS: Final = "callers stop listening after 20 s, and the guidance asks for a short notice (R66)"
_RECEIPT: Final = "a proof that comes ten seconds after the prompt proves nothing, and judging and writing take time"
_IN_TIME: Final = "a caller must not wait for our judgement; what is not decided in a second is a refusal"
_CLOSED_PURPOSES: Final = "a recording has no other purpose here (R32)"

KEYS: Final[tuple[Key, ...]] = (
    Key("agent", Shape.SECTION, "This agent on this machine", ()),
    Key("agent.name", _NAME, "Name of this agent in ledger and reports"),
    Key("agent.data_dir", _ANY, "Folder for what must survive a restart", "var"),
    Key("agent.runtime_dir", _ANY, "Folder in memory (tmpfs) for live audio", "/run/callrec"),
    Key("agent.max_calls", Whole(1, 1000), "Calls at once; one more is sent back with 503", 60),
    Key("agent.max_setups_per_s", Whole(1, 200), "New calls a second; what is beyond is sent back with 503", 15),
    Key("agent.drain_s", Whole(0, 3600), "Seconds that running calls may go on after a stop was asked for", 60),
    Key("responsible", Shape.SECTION, "Who answers for the recordings (R43, R54)"),
    Key("responsible.controller", _ANY, "The data controller"),
    Key("responsible.processor", _ANY, "The data processor, where there is one", None),
    Key("responsible.information_asset_owner", _ANY, "Who owns the risk of this information"),
    Key("responsible.caldicott_guardian", _ANY, "Contact; this or the data protection officer", None),
    Key("responsible.data_protection_officer", _ANY, "Contact; this or the Caldicott Guardian", None),
    Key("responsible.ownership", _ANY, "Who owns the recordings and any rights in them"),
    Key("responsible.privacy_page", Text(values.web_page), "The page that the notice points to"),
    Key("responsible.privacy_page_version", _ANY, "The version of that page that was approved with the notice"),
    Key("people", Shape.NAMES, "Who may act on recordings", ()),
    Key("people.*", Shape.SECTION, "One person"),
    Key("people.*.role", Choice(Role), "What they may do"),
    Key("people.*.os_user", _ANY, "Their account on this machine"),
    Key("sip", Shape.SECTION, "SIP and media"),
    Key("sip.listen", ListOf(Text(values.listen), least=1), "Addresses that SIP is taken on"),
    Key("sip.trusted_network", Flag(), "UDP beyond this machine: the network is private", default=False),
    Key("sip.public_address", Text(values.address), "Address for Contact and SDP where it differs", None),
    Key("sip.rtp_ports", Text(values.port_range), "UDP ports for audio, four for each call, 16 beside", "40000-44999"),
    Key("sip.allow_from", _NETWORKS, "Who may send us SIP: packet sources"),
    Key("sip.media_from", _NETWORKS, "Whom we exchange audio with: SDP addresses"),
    Key("sip.codecs", ListOf(Choice(("PCMA", "PCMU")), least=1), "Codecs in order of preference", ("PCMA", "PCMU")),
    Key("sip.srtp", Choice(("off", "optional", "required")), "Encrypted audio (SDES)", "off"),
    Key("sip.tls", Shape.SECTION, "Certificate, where `listen` names tls", None),
    Key("sip.tls.cert", _ANY, "File with our certificate and its chain (PEM)"),
    Key("sip.tls.key", _REFERENCE, "Its private key (PEM)"),
    Key("sip.tls.ca", _ANY, "File with the authorities we believe (PEM)", None),
    Key("sip.tls.require_client", Flag(), "Peers must show a certificate too", default=True),
    Key("sip.trusted_headers", ListOf(Text(values.trusted_header)), "Headers that go along to the staff leg", ()),
    Key("sip.purpose_token", _REFERENCE, "Secret shared with the PBX: its X-Callrec-Purposes counts with it", None),
    Key("sip.linked_header", Text(values.trusted_header), "Trusted header with the PBX's id of the whole call", None),
    Key("sip.country_code", Text(values.country_code), "Country of numbers that begin with one 0", "44"),
    Key("sip.leg_ends_at", _ENDS_AT, "What a caller leg's next hop is where it is none of the trunks", "pbx"),
    Key("sip.trunks", Shape.NAMES, "Peers that calls are sent to", ()),
    Key("sip.trunks.*", Shape.SECTION, "One peer"),
    Key("sip.trunks.*.uri", Text(values.sip_uri), "Where it takes SIP"),
    Key("sip.trunks.*.leg_ends_at", _ENDS_AT, "What it is: the point to which proof reaches"),
    Key("sip.trunks.*.user", _ANY, "Our account there", None),
    Key("sip.trunks.*.password", _REFERENCE, "The password of that account", None),
    Key("sip.trunks.*.register", Flag(), "Register that account there", default=False),
    Key("pbx_events", Choice(PbxEvents), "Who tells callrec what happens behind the PBX; every report says so"),
    Key("http", Shape.SECTION, "Local HTTP for PBX and CRM", None),
    Key("http.listen", Text(values.http_listen), "Address and port"),
    Key("http.token", _REFERENCE, "What askers show: at least 24 letters and digits"),
    Key("http.trusted_network", Flag(), "Beyond this machine: the network is private", default=False),
    Key("lines", Shape.NAMES, "The advice lines"),
    Key("lines.*", Shape.SECTION, "One advice line"),
    Key("lines.*.match", Shape.SECTION, "Which calls it takes"),
    Key("lines.*.match.dialled", ListOf(Text(values.dialled_number)), "Numbers and extensions dialled", ()),
    Key("lines.*.match.prefix", Text(outside.dial_prefix), "Outbound: what the PBX dials before the number", None),
    Key("lines.*.match.from", ListOf(Text(values.network)), "Outbound: who may call outside through it", ()),
    Key("lines.*.nation", Choice(Nation), "Whose records code applies to it; null: that of retention", None),
    Key("lines.*.direction", Choice(CallDirection), "Whether the outside party calls, or is called", "inbound"),
    Key("lines.*.notice_when", Choice(NoticeWhen), "When the notice plays; null: as the direction asks", None),
    Key("lines.*.destination", _TARGET, "Where its calls go"),
    Key("lines.*.fallback", ListOf(_TARGET), "Where they go when that fails, in order", ()),
    Key("lines.*.dial_timeout_s", Whole(3, 180), "Seconds each of them may ring", 20),
    Key("lines.*.record", Choice(Record), "Recorded where the notice is proven, or never", "if_proven"),
    Key("lines.*.notice", _NAME, "Name of its notice in the register", None),
    Key("lines.*.consent", _NAME, "Name of the prompt that asks its callers for consent; null: nobody is asked", None),
    Key(
        "lines.*.languages",
        ListOf(Text(values.language), least=1),
        "Languages of the notice; first is the default",
        ("en",),
    ),
    Key("lines.*.language_numbers", Shape.NAMES, "Numbers whose callers chose a language by dialling them", ()),
    Key("lines.*.language_numbers.*", ListOf(Text(values.dialled_number), least=1), "Numbers for this language"),
    Key("lines.*.language_header", Text(values.trusted_header), "Trusted header that names the language", None),
    Key("lines.*.language_keys", Shape.NAMES, "Keys by which callers choose a language while the notice plays", ()),
    Key("lines.*.language_keys.*", _KEY, "The key for this language"),
    Key("lines.*.purposes", ListOf(Choice(Purpose, _CLOSED_PURPOSES)), "What recordings may be kept and used for"),
    Key("lines.*.health_record", Flag(), "Its calls contribute to care (R26)", default=True),
    Key("lines.*.keys", Shape.SECTION, "Keys that the caller may press", ()),
    Key("lines.*.keys.decline", _KEY, "Do not record", "2"),
    Key("lines.*.keys.decline_training", _KEY, "Record, but not for training", None),
    Key("lines.*.keys.repeat", _KEY, "Hear the notice again", None),
    Key("lines.*.keys.acknowledge", _KEY, "I heard the notice", None),
    Key("lines.*.keys.shorten", _KEY, "End the notice, once all was said that must be heard", None),
    Key("lines.*.keys.stop", Text(values.stop_keys), "Stop recording, during the call", "**2"),
    Key("lines.*.choice_window_s", Whole(0, 15), "Seconds after the notice in which a choice still counts", 3),
    Key("lines.*.pause_max_s", Whole(10, 3600), "Seconds of a pause after which staff are reminded of it", 300),
    Key("lines.*.pause_resumes", Flag(), "Record again by itself after that time (R52)", default=False),
    Key("lines.*.capture_from", Choice(CaptureFrom), "When the talk begins", "answer"),
    Key("lines.*.staff_display", Shape.SECTION, "What staff see before the caller's name (R53)", ()),
    Key(
        "lines.*.staff_display.if_proven", Text(values.display_mark), "Where the call is recorded once proven", "[REC]"
    ),
    Key("lines.*.staff_display.otherwise", Text(values.display_mark), "Where it is not recorded", "[NO REC]"),
    Key("lines.*.staff_whisper", Flag(), "Tell staff at the bridge whether it is recorded (R53)", default=False),
    Key("lines.*.kind", Choice(LineKind), "What kind of advice it gives, for retention", "general"),
    Key("lines.*.subject", Choice(_SUBJECTS), "Who calls are about, for retention", "adult"),
    Key("lines.*.keep_number", Flag(), "Keep the caller's number, sealed, so that their calls are found", default=True),
    Key("lines.*.on_no_notice", Choice(OnNoNotice), "A call whose notice is not proven", "connect"),
    Key("lines.*.require", Choice(Grade), "The least grade of proof", "sent"),
    Key("staff_codes", Shape.SECTION, "What staff press: the prefix, then one key. From the staff leg only", ()),
    Key(
        "staff_codes.prefix",
        Text(values.code_prefix),
        "What every code begins with; null: no codes",
        "*7",
        may_be_null=True,
    ),
    Key("staff_codes.stop", _CODE, "Stop recording", "0", may_be_null=True),
    Key("staff_codes.pause", _CODE, "Pause, as for a card number", "1", may_be_null=True),
    Key("staff_codes.resume", _CODE, "Go on after a pause", "4", may_be_null=True),
    Key("staff_codes.without_training", _CODE, "Not for training", "2", may_be_null=True),
    Key("staff_codes.without_audit", _CODE, "Not for audit", "3", may_be_null=True),
    Key(
        "staff_codes.distress",
        _CODE,
        "Distress, or an objection: stop, no secondary use",
        "5",
        may_be_null=True,
    ),
    Key(
        "staff_codes.capacity_doubt",
        _CODE,
        "Doubt about capacity: no secondary use for now",
        "6",
        may_be_null=True,
    ),
    Key("staff_codes.child", _CODE, "The call is about a child", "8", may_be_null=True),
    Key("staff_codes.objection", _CODE, "A child or their parent objects: stop, and no secondary use", None),
    Key("staff_codes.status", _CODE, "Hear whether the call is recorded now; staff alone do", "*", may_be_null=True),
    Key("staff", Shape.SECTION, "What staff must know (R53)", ()),
    Key(
        "staff.policy_version", _NAME, "Version of the recording policy they acknowledge; null: none is asked for", None
    ),
    Key("staff.not_informed", Choice(NotInformed), "A call answered by whoever did not acknowledge it", "warn"),
    Key("staff_codes.notice", _CODE, "Play the notice to whoever is there, now", "7"),
    Key("staff_codes.training", _CODE, "Ask the caller for consent to training", "9", may_be_null=True),
    Key("staff_codes.agreed", _CODE, "I read out the question for consent, and the caller said yes", None),
    Key("notice", Shape.SECTION, "Playing and judging notices", ()),
    Key("notice.register", _ANY, "Folder with prompts and their register", "var/prompts"),
    Key("notice.longest_s", Whole(3, 20, _TWENTY_SECONDS), "Longest notice", 20),
    Key("notice.max_wait_s", Whole(5, 120), "Longest time before dialling, holds and repeats included", 60),
    Key("notice.attempts", Whole(1, 5), "How often a notice is begun when it was interrupted", 2),
    Key("notice.decide_within_ms", Whole(20, 1000, _IN_TIME), "Longest time to judge; later is a refusal", 200),
    Key("notice.consent_max_asks", Whole(1, 3), "How often one caller is asked for consent", 1),
    Key("notice.consent_wait_s", Whole(2, 8, _RECEIPT), "Seconds to answer once that was asked; silence is a no", 6),
    Key("spool", Shape.SECTION, "Recordings until they are stored", ()),
    Key("spool.path", _ANY, "Folder; encrypted audio only", "var/spool"),
    Key("spool.reserve_s", Whole(60, 86400), "Seconds of audio that must fit before a recording starts", 600),
    Key("spool.max_recording_s", Whole(60, 86400), "Longest recording; the call goes on", 14400),
    Key("ledger", Shape.SECTION, "The append-only log", ()),
    Key("ledger.url", Text(values.ledger_url, secret=True), "Its database, and the index's", "sqlite:///var/ledger.db"),
    Key("ledger.password", _REFERENCE, "Password of its PostgreSQL user, where one is needed", None),
    Key("ledger.log", Text(values.log_name), "Name of this agent's log there; null: the agent's own name", None),
    Key("ledger.anchors", Shape.ITEMS, "Where its checkpoints are held by somebody else", ()),
    Key("ledger.anchors.[]", Shape.SECTION, "One such place"),
    Key("ledger.anchors.[].kind", Choice(("directory", "command")), "How they get there"),
    Key("ledger.anchors.[].path", _ANY, "The folder, best on another machine"),
    Key("ledger.anchors.[].program", ListOf(_ANY, least=1), "Program that carries them away", None),
    Key("store", Shape.SECTION, "Where recordings are kept", ()),
    Key("store.kind", Choice(StoreKind), "What kind of store", "filesystem"),
    Key("store.path", _ANY, "Its folder, where it is one on files", "var/store"),
    Key("store.keys", _ANY, "Folder of the wrapped keys, apart from the audio", None),
    Key("store.s3", Shape.SECTION, "The bucket, where it is one", None),
    Key("store.s3.endpoint", Text(values.s3_endpoint), "The server"),
    Key("store.s3.bucket", Text(values.bucket), "The bucket's name"),
    Key("store.s3.region", _ANY, "Its region", "us-east-1"),
    Key("store.s3.access_key", _REFERENCE, "Our account there"),
    Key("store.s3.secret_key", _REFERENCE, "Its secret"),
    Key("store.s3.ca", _ANY, "File with the authorities we believe (PEM)", None),
    Key("retention", Shape.SECTION, "How long"),
    Key("retention.nation", Choice(Nation), "Whose records code applies (R47)"),
    Key("retention.rules", _ANY, "File with the periods", "config/retention.yaml"),
    Key("retention.withdrawal_window_h", Whole(1, 720), "Hours after a call in which its withdrawal is enough", 24),
    Key("retention.review_days", Whole(1, 365), "Days in which somebody looks at a doubt about capacity", 30),
    Key("retention.backup_max_days", Whole(0, 3650), "How long backups hold wrapped keys that were destroyed", 35),
    Key("keys", Shape.SECTION, "Cryptographic keys; `callrec init` makes them", ()),
    Key(
        "keys.wrap_to",
        _REFERENCE,
        "The keeper's public key: recordings can be opened with its other half only",
        "file:keys/keeper.pub",
    ),
    Key("keys.open_with", ListOf(_ANY, least=1), "Program that opens wrapped keys, in place of a key file", None),
    Key("keys.signing", _REFERENCE, "Private key that signs ledger checkpoints", "file:keys/ledger"),
    Key("alerts", Shape.SECTION, "Whom to tell, and from what on", ()),
    Key("alerts.command", ListOf(_ANY, least=1), "Program and arguments; one line of text follows on its input", None),
    Key("alerts.our_fault_in_a_row", Whole(1, 1000), "Calls in a row not recorded by our fault", 3),
    Key("alerts.our_fault_share_1h", Share(0.0, 1.0), "Share of an hour's calls not recorded by our fault", 0.05),
    Key("alerts.store_down_s", Whole(10, 86400), "Seconds that a sealed recording may wait for the store", 900),
)
