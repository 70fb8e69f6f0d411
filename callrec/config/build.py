"""Values that were read, into models. Fails on nothing: what could fail was found before, or is found by the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from callrec._sql import PostgresSchema
from callrec.config import models as m
from callrec.config.stores import S3, Store
from callrec.config.values import Reference, SipUri
from callrec.core.retention import Nation
from callrec.core.values import CallDirection, NoticeWhen

Values = Mapping[str, Any]


def build(values: Values, *, name: str, folder: Path, sha256: str) -> m.Config:
    """The configuration that these values describe."""
    sip = _sip(values["sip"], folder)
    agent = m.Agent(**_resolved(values["agent"], folder, "data_dir", "runtime_dir"))
    return m.Config(
        name=name,
        folder=folder,
        sha256=sha256,
        agent=agent,
        responsible=m.Responsible(**values["responsible"]),
        people=tuple(m.Person(name=who, **person) for who, person in values["people"].items()),
        sip=sip,
        pbx_events=values["pbx_events"],
        http=values["http"] and m.Http(**_resolved(values["http"], folder, "token")),
        lines=tuple(
            _line(line_name, line, sip.trunks, values["retention"]["nation"])
            for line_name, line in values["lines"].items()
        ),
        staff_codes=m.StaffCodes(**values["staff_codes"]),
        staff=m.Staff(**values["staff"]),
        notice=m.Notice(**_resolved(values["notice"], folder, "register")),
        spool=m.Spool(**_resolved(values["spool"], folder, "path")),
        ledger=_ledger(values["ledger"], folder, agent),
        store=_store(values["store"], folder),
        retention=m.Retention(**_resolved(values["retention"], folder, "rules")),
        keys=m.Keys(**_resolved(values["keys"], folder, "wrap_to", "signing")),
        alerts=m.Alerts(**values["alerts"]),
    )


def resolve(written: SipUri, trunks: tuple[m.Trunk, ...]) -> m.Target:
    """Where to dial: a host that is a trunk's name stands for that trunk's address and parameters."""
    trunk = next((t for t in trunks if t.name == written.host), None)
    uri = written if trunk is None else replace(trunk.uri, user=written.user)
    return m.Target(written=str(written), uri=str(uri), trunk=trunk)


def _placed(value: Any, folder: Path) -> Any:
    if value is None:
        return None
    return replace(value, base=folder) if isinstance(value, Reference) else folder / value


def _resolved(section: Values, folder: Path, *names: str) -> dict[str, Any]:
    return {**section, **{name: _placed(section[name], folder) for name in names}}


def _sip(section: Values, folder: Path) -> m.Sip:
    trunks = tuple(
        m.Trunk(name=name, **_resolved(trunk, folder, "password")) for name, trunk in section["trunks"].items()
    )
    tls = section["tls"] and m.Tls(**_resolved(section["tls"], folder, "cert", "key", "ca"))
    placed = _resolved(section, folder, "purpose_token")
    return m.Sip(**{**placed, "trunks": trunks, "tls": tls})


def _line(name: str, section: Values, trunks: tuple[m.Trunk, ...], nation: Nation) -> m.Line:
    line = dict(section)
    line["nation"] = section["nation"] or nation
    match = line.pop("match")
    line |= {"dialled": match["dialled"], "prefix": match["prefix"], "peers": match["from"]}
    line["notice_when"] = line["notice_when"] or _USUAL[line["direction"]]
    line["destination"] = resolve(line["destination"], trunks)
    line["fallback"] = tuple(resolve(uri, trunks) for uri in line["fallback"])
    line["purposes"] = frozenset(line["purposes"])
    line["keys"] = m.LineKeys(**line["keys"])
    line["language_numbers"] = tuple(line["language_numbers"].items())
    line["language_keys"] = tuple((key, language) for language, key in line["language_keys"].items() if key)
    line["staff_display"] = m.StaffDisplay(**line["staff_display"])
    return m.Line(name=name, **line)


_USUAL: Final = {
    CallDirection.INBOUND: NoticeWhen.BEFORE_DIALLING,
    CallDirection.OUTBOUND: NoticeWhen.STAFF_CODE,
}
"""When the notice plays, where the line does not say."""


def _store(section: Values, folder: Path) -> Store:
    placed = _resolved(section, folder, "path", "keys")
    keys = placed["keys"] or placed["path"].with_name(placed["path"].name + "-keys")
    s3 = section["s3"] and S3(**_resolved(section["s3"], folder, "access_key", "secret_key", "ca"))
    return Store(**{**placed, "keys": keys, "s3": s3})


def _ledger(section: Values, folder: Path, agent: m.Agent) -> m.Ledger:
    anchors = tuple(m.Anchor(**_resolved(anchor, folder, "path")) for anchor in section["anchors"])
    password, log = _placed(section["password"], folder), section["log"]
    if isinstance(section["url"], str):
        path = folder / section["url"].removeprefix("sqlite:///")
        return m.Ledger(database=path, journal=None, password=password, log=log, anchors=anchors)
    database = PostgresSchema(
        options=section["url"],
        schema=f"callrec_{log or agent.name}",
        password=password and (lambda: password.read().decode()),
    )
    journal = agent.data_dir / "ledger.pending"
    return m.Ledger(database=database, journal=journal, password=password, log=log, anchors=anchors)
