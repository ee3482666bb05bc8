"""The diagnosis as a page for people: plain HTML, no script, nothing from elsewhere; it loads itself anew."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from typing import Any, Final

from router.diagnosis.facts import Judgement, PeerFacts

RELOAD_S: Final = 5
CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
COLOURS: Final = {"ok": "#137333", "waiting": "#b06000", "broken": "#c5221f", "not applicable": "#5f6368"}
TITLES: Final = {
    "ice": "Path (ICE)",
    "dtls": "Handshake (DTLS)",
    "srtp": "Keys (SRTP)",
    "streams_up": "What it publishes",
    "streams_down": "What it is shown",
    "events": "Events WebSocket",
    "rights": "Rights in force",
}
STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:60rem;padding:0 1rem;color:#202124}
h1{font-size:1.3rem}h2{font-size:1.1rem;margin:1.6rem 0 .3rem}p{margin:.3rem 0}
.verdict{color:#fff;border-radius:.6rem;padding:.05rem .55rem;font-size:.8rem;white-space:nowrap}
table{border-collapse:collapse;font-size:.85rem;margin:.4rem 0}
th,td{border:1px solid #dadce0;padding:.15rem .5rem;text-align:left;vertical-align:top}
th{background:#f1f3f4;font-weight:600}.scroll{overflow-x:auto}
@media(prefers-color-scheme:dark){body{background:#202124;color:#e8eaed}th{background:#303134}
th,td{border-color:#5f6368}}
"""


def write_page(
    room: str, name: str, sessions: Sequence[tuple[PeerFacts, Judgement, Mapping[str, Judgement]]], *, reload: bool
) -> str:
    """The whole document; `reload` while there is something that can change."""
    title = escape(f"{name} in {room}")
    refresh = f'<meta http-equiv="refresh" content="{RELOAD_S}">' if reload else ""
    body = "".join(_write_session(*session) for session in sessions)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style></head>'
        f"<body><h1>{title}</h1>{body}</body></html>"
    )


def _write_session(facts: PeerFacts, whole: Judgement, judged: Mapping[str, Judgement]) -> str:
    state = f"{facts.endpoint} session, {facts.state}, {facts.age_s:.0f} s old"
    if facts.ended is not None:
        state = f"{facts.endpoint} session, ended {facts.ended.ago_s:.0f} s ago: {facts.ended.reason}"
    values: dict[str, Any] = {
        "ice": facts.ice,
        "dtls": facts.dtls,
        "srtp": facts.srtp,
        "streams_up": facts.tracks,
        "streams_down": (*((facts.link,) if facts.link else ()), *facts.slots),
        "events": (),
        "rights": facts.rights,
    }
    sections = "".join(
        f"<h2>{TITLES[name]} {_write_verdict(one)}</h2><p>{escape(one.sentence)}</p>{_write_facts(values[name])}"
        for name, one in judged.items()
    )
    return f"<section><p>{escape(state)}</p><p>{_write_verdict(whole)} {escape(whole.sentence)}</p>{sections}</section>"


def _write_verdict(judgement: Judgement) -> str:
    colour = COLOURS[judgement.verdict]
    return f'<span class="verdict" style="background:{colour}">{escape(judgement.verdict)}</span>'


def _write_facts(value: Any) -> str:
    """A table of one dataclass, or one for each run of equal ones."""
    rows: Sequence[Any] = value if isinstance(value, tuple) else (value,)
    tables: list[str] = []
    for kind in dict.fromkeys(type(row) for row in rows):
        names = [field.name for field in fields(kind)]
        head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
        same = [row for row in rows if type(row) is kind]
        cells = ("".join(f"<td>{_write_cell(getattr(row, name))}</td>" for name in names) for row in same)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        tables.append(f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>')
    return "".join(tables)


def _write_cell(value: Any) -> str:
    if value is None or value == () or value == {} or value == "":
        return "-"
    if isinstance(value, Mapping):
        return "<br>".join(f"{escape(str(key))}: {escape(str(count))}" for key, count in value.items())
    if isinstance(value, tuple):
        if is_dataclass(value[0]):
            return _write_facts(value)
        return "<br>".join(escape(str(item)) for item in value)
    return escape(str(value))
