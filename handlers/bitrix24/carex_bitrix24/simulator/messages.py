"""What people are told: comments in timelines and notifications."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Comment:
    """A comment in the timeline of an item."""

    id: int
    entity_type_id: int
    item_id: int
    text: str


@dataclass(frozen=True)
class Notification:
    """A notification that a person sees; a newer one with the same tag takes its place."""

    id: int
    user_id: int
    text: str
    tag: str = ""
