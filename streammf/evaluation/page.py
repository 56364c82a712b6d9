"""The frame of a report: one HTML file with its style in it, that asks for nothing else.

Rules of this file:
1. No script, no font, no picture from anywhere: a report can be mailed, and opened without a network.
2. Nothing is wider than a phone but tables, which scroll by themselves.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

STYLE: Final = """
:root{--ink:#1c2430;--soft:#5b6675;--paper:#fff;--card:#f5f7fa;--rule:#d9dfe7;--good:#0a7d4f;--bad:#b3261e;
--c0:#0b57d0;--c1:#d55e00;--c2:#009e73;--c3:#a34c8f;--c4:#8a6d00;--c5:#56a0d3;--c6:#6b7280;--c7:#c2410c}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf2;--soft:#9aa7b8;--paper:#11161d;--card:#1a212b;--rule:#303a47;
--good:#5fd39d;--bad:#ff8a80;--c0:#7ab0ff;--c1:#ff9d57;--c2:#4fd1ac;--c3:#e08fd0;--c4:#e0c04a;--c5:#8cc8f0;--c6:#a8b0bd;--c7:#ffb08a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:1120px;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2rem 0 .6rem}
h3{font-size:1rem;margin:0 0 .5rem}
p{margin:.5rem 0;max-width:75ch}
.soft{color:var(--soft)}
.verdict{font-size:1.1rem}
.finding{border-left:4px solid var(--bad);padding:.1rem 0 .1rem .8rem;margin:.8rem 0}
.fine{border-left-color:var(--good)}
.cards{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr))}
.card{background:var(--card);border-radius:10px;padding:.9rem;min-width:0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .7rem .3rem 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child{text-align:left}
td small{color:var(--soft);font-weight:400;font-size:.85em;margin-left:.35em}
tr.first td{font-weight:600}
table.facts td{white-space:normal;text-align:left;vertical-align:top;overflow-wrap:anywhere}
table.facts td:first-child{color:var(--soft);width:42%}
svg{display:block;width:100%;height:auto}
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
svg .grid{stroke:var(--rule);stroke-width:1;fill:none}
svg .line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}
svg .c0.line{stroke-width:3}
svg .band{fill:currentColor;stroke:none;opacity:.15}
svg .whisker{stroke:currentColor;stroke-width:2;fill:none;opacity:.55}
svg .dot{fill:currentColor;stroke:none}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.5rem 0 0;padding:0;font-size:.85rem}
.legend i{display:inline-block;width:1em;height:.3em;border-radius:2px;background:currentColor;margin-right:.4em;
vertical-align:middle}
@media(max-width:560px){th,td{white-space:normal;padding-right:.3rem;font-size:.82rem}td small{display:block;margin:0}
svg text{font-size:16px}}
""" + "".join(f".c{n}{{color:var(--c{n})}}" for n in range(8))


def page(title: str, body: Sequence[str]) -> str:
    """A whole file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n<main>"
        + "\n".join(body)
        + "</main></body></html>\n"
    )


def paragraph(text: str, kind: str = "") -> str:
    """Words."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def heading(text: str) -> str:
    """Of a part of the page."""
    return f"<h2>{escape(text)}</h2>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, first: bool = True) -> str:
    """Numbers; first: the first row is the one that matters."""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = [f"<tr>{cells}</tr>"]
    for number, row in enumerate(rows):
        mark = ' class="first"' if first and number == 0 else ""
        lines.append(f"<tr{mark}>" + "".join(_cell(cell) for cell in row) + "</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _cell(text: str) -> str:
    """A number, and what it is uncertain by below it where there is no room beside it."""
    number, sign, error = text.partition(" ± ")
    return f"<td>{escape(number)}" + (f"<small>± {escape(error)}</small>" if sign else "") + "</td>"


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what they are."""
    lines = (f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{"".join(lines)}</table>'


def card(title: str, content: str, note: str = "") -> str:
    """One thing to look at."""
    below = paragraph(note, "soft") if note else ""
    return f'<section class="card"><h3>{escape(title)}</h3>{content}{below}</section>'


def cards(parts: Sequence[str]) -> str:
    """Side by side where there is room."""
    return f'<div class="cards">{"".join(parts)}</div>'
