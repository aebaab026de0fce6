"""`send_email`: a mail, from a process or anybody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from carex import BpmnError, Context, Fail, Retry, Task
from carex_services import plugin
from carex_services.letter import Letter, seal

if TYPE_CHECKING:
    from carex_services import Outside

ATTEMPTS = 8
KEPT_BACK = "not in mail_recipients"
FIRST_DELAY, LONGEST_DELAY = 60.0, 3600.0
"""Seconds until a mail that was refused for now is tried again; each time twice as long. Greylisting takes minutes."""
UNKNOWN_DELAY = 60.0


@plugin.handler("send_email", attempts=ATTEMPTS, timeout=900.0)
async def send_email(letter: Letter, ctx: Context) -> dict[str, Any]:
    """Send a mail, and say who got it.

    The Message-ID is the task's: a repetition is recognised as the same mail by those who look for it.
    """
    from carex_services.post import Refused, Unknown

    outside: Outside = ctx.client
    try:
        envelope = await asyncio.to_thread(seal, letter, ctx.task, ctx.settings)
    except ValueError as error:
        raise Fail(str(error)) from None
    if not envelope.recipients:
        raise Fail(f"none of the recipients is in mail_recipients: {', '.join(envelope.kept_back)}")
    try:
        refused = await outside.post.deliver(envelope)
    except Refused as error:
        if not error.for_good:
            raise Retry(str(error), delay=min(FIRST_DELAY * 2 ** _earlier(ctx.task), LONGEST_DELAY)) from None
        recipients = {who: text for who, text in error.answers.items() if who}
        code = "RECIPIENTS_REFUSED" if recipients else "MESSAGE_REFUSED"
        raise BpmnError(code, str(error), {"refused": recipients, "message_id": envelope.message_id}) from None
    except Unknown as error:
        text = f"{error}; nobody knows whether it was accepted: {envelope.message_id}"
        if ctx.settings.mail_resend and not _earlier(ctx.task):
            raise Retry(f"{text}. It is sent once more", delay=UNKNOWN_DELAY) from None
        raise Fail(f"{text}. Look for it at the server; a retry sends it again") from None
    refused.update(dict.fromkeys(envelope.kept_back, KEPT_BACK))
    accepted = [each for each in envelope.recipients if each not in refused]
    ctx.log.info("{} accepted for {} recipients, refused for {}", envelope.message_id, len(accepted), len(refused))
    return {"message_id": envelope.message_id, "accepted": accepted, "refused": refused}


def _earlier(task: Task) -> int:
    """How many attempts there were. The engine sends a failed task as a new one, which says how many are left."""
    left = (task.reply or {}).get("retries")
    return max(task.attempt - 1, 0 if left is None else ATTEMPTS - left, 0)
