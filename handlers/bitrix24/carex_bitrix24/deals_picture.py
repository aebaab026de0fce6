"""The fairness report as a picture: an SVG that any browser shows, readable also by those who cannot see it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carex.people.fairness import Fairness, Line

WIDTH, NAMES, BARS, ROW, TOP = 960, 200, 600, 28, 64
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#223}.t{font-size:16px;font-weight:600}.d{fill:#667}"
    ".b{fill:#4a7fc1}.e{stroke:#d2452d;stroke-width:3}"
    "@media(prefers-color-scheme:dark){text{fill:#dde}.d{fill:#99a}svg{background:#15181d}}"
)


def svg(fairness: Fairness, title: str) -> str:
    """One bar a person, with a mark where it should end."""
    from carex_bitrix24.deals_report import verdict

    height = TOP + ROW * len(fairness.lines) + 24
    largest = max((max(line.shared, line.expected) for line in fairness.lines), default=0) or 1
    rows = [_row(line, TOP + ROW * number, largest, fairness) for number, line in enumerate(fairness.lines)]
    said = escape(verdict(fairness))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{said}">',
            f"<title>{escape(title)}</title><desc>{said}</desc><style>{STYLE}</style>",
            f'<text class="t" x="16" y="26">{escape(title)}</text><text class="d" x="16" y="46">{said}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _row(line: Line, y: int, largest: float, fairness: Fairness) -> str:
    whole = fairness.shared or 1
    length, mark = line.shared / largest * BARS, NAMES + line.expected / largest * BARS
    middle = y + ROW / 2 + 4
    name = line.name if len(line.name) <= 26 else f"{line.name[:25]}…"
    shares = f"{line.shared / whole:.1%}, expected {line.expected / whole:.1%}"
    return (
        f"<g><title>{escape(line.name)}: {line.given} deals, {shares}</title>"
        f'<text x="{NAMES - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="b" x="{NAMES}" y="{y + 5}" width="{length:.1f}" height="{ROW - 10}" rx="3"/>'
        f'<line class="e" x1="{mark:.1f}" x2="{mark:.1f}" y1="{y + 2}" y2="{y + ROW - 2}"/>'
        f'<text class="d" x="{NAMES + BARS + 12}" y="{middle}">{line.given}  ({line.shared / whole:.1%})</text></g>'
    )
