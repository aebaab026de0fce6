"""How the demo looks: a picture that stands still while its numbers move, plain lines elsewhere, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from carex_bitrix24.demo_board import Board, Verdict

REFRESHES = 8
SILENCE = 3.0
"""Seconds after which a line says how far it is, where there is no picture."""
TITLE = "simulated portal, 20 × as fast as a real one"
STATES = {"answers": "green", "works": "green", "limits": "yellow", "is down": "red", "was killed": "red"}
EIGHTHS = " ▏▎▍▌▋▊▉█"


class Picture:
    """The live picture: as high and wide at its end as at its beginning. Gone when the `with` is left."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._live = Live(
            console=console, get_renderable=self._draw, refresh_per_second=REFRESHES, transient=True, screen=False
        )

    def __enter__(self) -> Picture:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        for at, said in self._board.said:
            self._console.print(_line(at, said), soft_wrap=True)

    def look(self) -> None:
        """Nothing to do: it draws itself."""

    def _draw(self) -> Text:
        width = min(self._console.width, 120)
        lines = [*_head(self._board, width), Text(), *_people(self._board, width), Text()]
        room = max(3, min(10, self._console.height - len(lines) - 1))
        said = [_line(at, text) for at, text in self._board.said[-room:]]
        lines += said + [Text()] * (room - len(said))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(lines)


class Lines:
    """The story as plain lines, and now and then how far it is."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._shown = 0
        self._last = 0.0

    def __enter__(self) -> Lines:
        self._print(0.0, f"Carex demo: {self._board.deals} deals, {TITLE}.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.look()

    def look(self) -> None:
        """Print what has happened since the last look."""
        board = self._board
        for at, said in board.said[self._shown :]:
            self._print(at, said)
        self._shown = len(board.said)
        if board.seconds - self._last > SILENCE:
            self._print(board.seconds, f"{board.assigned} of {board.deals} assigned, {board.waiting} wait.")

    def _print(self, at: float, text: str) -> None:
        self._last = at
        self._console.print(_line(at, text), soft_wrap=True)
        self._console.file.flush()


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Say how it ended, and what to do next."""
    width = min(console.width, 120)
    lines = [Text("\nVerdict, read from the portal's ledger", style="bold"), *_claims(verdict)]
    most = max(*verdict.shares.values(), verdict.expected, 1.0)
    for name, count in verdict.shares.items():
        note = "on leave" if name in verdict.excluded else f"{count:4d}  expected {verdict.expected:.1f}"
        lines.append(_share(name, count, most, width - 43, name in verdict.excluded).append(f" {note}"))
    portal = f"{verdict.requests} requests, of which {verdict.refused} refused and {verdict.failed} failed"
    lines.append(Text(f"  {verdict.seconds:.1f} s · portal: {portal}", style="dim"))
    for line in lines:
        console.print(line, soft_wrap=True)


def _claims(verdict: Verdict) -> Iterator[Text]:
    mishaps = f"{verdict.answers_lost} answers lost, {verdict.killed_workers} worker killed"
    spared = not any(verdict.shares[name] for name in verdict.excluded)
    for holds, claim in (
        (
            verdict.lost == 0,
            f"{verdict.assigned} of {verdict.deals} deals have a responsible person, {verdict.lost} lost",
        ),
        (verdict.given_to_two == 0, f"{verdict.given_to_two} given to two people ({mishaps})"),
        (spared, f"{'none' if spared else 'some'} for the two on leave: {', '.join(verdict.excluded)}"),
    ):
        yield Text("  ").append("✔" if holds else "✘", style="green" if holds else "bold red").append(f" {claim}")
    for problem in verdict.problems:
        yield Text(f"  {problem}", style="red")


def _head(board: Board, width: int) -> list[Text]:
    clock = f"{board.seconds:5.1f} s"
    title = Text(f" Carex demo · {board.deals} deals · {TITLE}".ljust(width - len(clock) - 1) + clock, style="bold")
    bar, of = width - 50, board.deals
    portal = f"{board.requests} requests, {board.refused} refused, {board.faults} failed"
    return [
        title,
        Text(),
        _row("Robots", _bar(board.reported, of, bar, "cyan"), f"{board.reported} of {of} deals reported"),
        _row(
            "Queue",
            _bar(board.waiting + board.running, of, bar, "yellow"),
            f"{board.waiting} wait, {board.running} run, {board.failed} failed",
        ),
        _row("Worker", _state(board.worker, bar), f"attempts retried: {board.set_back}"),
        _row("Portal", _state(board.portal, bar), portal),
        _row("Assigned", _bar(board.assigned, of, bar, "green"), f"{board.assigned} of {of}"),
    ]


def _people(board: Board, width: int) -> Iterator[Text]:
    """Each employee's share on the left, why tasks wait on the right."""
    left = 38 if width < 100 else 58
    most = max(*board.shares.values(), board.expected * 1.3) if board.shares else 1.0
    shares = [Text(" Deals of each employee", style="bold")]
    for name, count in board.shares.items():
        away = name in board.excluded
        shares.append(_share(name, count, most, left - 26, away).append(" on leave" if away else f"{count:5d}"))
    reasons = [Text("Why deals wait", style="bold")]
    for count, why in board.reasons:
        wrapped = wrap(why, max(width - left - 6, 20), max_lines=2, placeholder=" …")
        reasons += [Text(f"{count if n == 0 else '':>4}  {part}") for n, part in enumerate(wrapped)]
    for n in range(9):
        line = shares[n] if n < len(shares) else Text()
        line.truncate(left, pad=True)
        yield line.append_text(reasons[n]) if n < len(reasons) else line


def _row(name: str, bar: Text, note: str) -> Text:
    return Text(f" {name:9}").append_text(bar).append(f"  {note}")


def _share(name: str, count: int, most: float, width: int, away: bool) -> Text:
    line = Text(f"  {name[:17]:18}", style="dim" if away else "")
    return line if away else line.append_text(_bar(count, most, width, "green"))


def _bar(value: float, of: float, width: int, style: str) -> Text:
    eighths = round(min(value / max(of, 1e-9), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    return Text(("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width), style=style)


def _state(state: str, width: int) -> Text:
    return Text("● ", style=STATES.get(state, "dim")).append(state.ljust(width - 2), style="default")


def _line(at: float, text: str) -> Text:
    return Text(f"{at:6.1f} s ", style="dim").append(text, style="not dim")
