"""Whether there is somebody to give work to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from carex.cli import Root
from carex.cli.doctor.line import Line, note, ok, warning


def look(root: Root) -> Iterator[Line]:
    if not root.people_file.is_file():
        yield note("no employees: only handlers that choose people need them (`carex users add ID NAME`)")
        return
    from carex.cli.rules import doubts, rules_of
    from carex.people import Directory

    rules = rules_of(root.settings)
    directory = Directory(root.people_file)
    try:
        everybody, asked = directory.standings(rules), directory.asked()
    finally:
        directory.close()
    if not everybody:
        yield note("no employees yet: `carex users add ID NAME`, or `carex users sync`")
        return
    reasons = Counter((why or "").split(" ")[0] for _, why in everybody)
    free = reasons.pop("", 0)
    text = f"{free} of {len(everybody)} employees can be given work now"
    if reasons:
        text += f" ({', '.join(f'{number} {why}' for why, number in reasons.most_common())})"
    if free:
        yield ok(text)
    elif rules.fallback is not None:
        yield warning(f"{text}: all of it goes to the fallback, {rules.fallback}", "carex users list says why.")
    else:
        yield warning(f"{text}: work waits", "carex users list says why; people.fallback names who takes it then.")
    for text in doubts(root.settings):
        yield warning(text, "Correct the table [people], or the employee: carex users list.")
    for source, (_, trouble) in asked.items():
        if trouble and source in rules.sources:
            yield warning(
                f"{source} could not be asked: {trouble}", "See the portal's own lines; carex users list --ask"
            )
