"""A proof that a later report speaks against: whoever reads the pack is told first."""

from __future__ import annotations

from callrec.audit.standalone import contradicted_lines, notice_lines

HEARD = {"grade": "received", "rtcp": "unauthenticated"}


def test_a_contradicted_proof_is_told_with_its_reason_and_no_other_incident_is():
    told = contradicted_lines([{"what": "shell failed"}, {"what": "proof contradicted", "reason": "40 % were lost"}])

    assert told == ["contradicted: afterwards 40 % were lost; its recording is set apart"]


def test_what_only_unauthenticated_rtcp_says_is_told_as_that():
    assert notice_lines(HEARD, None)[0].endswith(", as unauthenticated RTCP says)")
    assert "RTCP" not in notice_lines(HEARD | {"rtcp": "authenticated"}, None)[0]
