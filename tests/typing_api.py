"""Code as an author of handlers writes it: the type checker reads this, so that a changed signature is noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from carex import BadCall, BpmnError, Call, Context, Done, Fail, Plugin, Retry, Task, Wait


class Client:
    async def ask(self, question: str) -> int:
        return len(question)


@asynccontextmanager
async def open_client(settings: object) -> AsyncIterator[Client]:
    yield Client()


plugin = Plugin("typed", client=open_client)


@dataclass
class Question:
    text: str
    urgent: bool = False


@plugin.handler("typed_ask", attempts=3, timeout=10.0)
async def ask(question: Question, ctx: Context) -> dict[str, int]:
    """Ask something."""
    if not question.text:
        raise Fail("there is no question")
    if question.urgent:
        raise Retry("again", delay=1.0)
    if question.text == "?":
        raise Wait("the oracle sleeps", delay=60.0)
    if question.text == "!":
        raise BpmnError("NO_ANSWER", "there is none", {"asked": question.text})
    ctx.log.info("asked at attempt {}", ctx.task.attempt)
    return {"answer": await ctx.client.ask(question.text)}


@plugin.handler("typed_sync")
def tell(question: Question, ctx: Context) -> Done:
    return Done({"told": question.text})


@plugin.handler("typed_choose")
async def choose(payload: dict[str, str], ctx: Context) -> int:
    decision = await ctx.people.decide(ctx.task, f"deal:{payload['id']}", strategy="random", again=False)
    return decision.user_id


@plugin.webhook("/typed")
def asked(call: Call) -> Task:
    if "text" not in call.query:
        raise BadCall("text", "is missing")
    return Task("typed_ask", {"text": call.query["text"]}, key=f"typed:{call.query['text']}")
