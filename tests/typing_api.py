"""Code as an author of handlers writes it: the type checker reads this, so that a changed signature is noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from carex import BadCall, BpmnError, Call, Choice, Context, Done, Fail, Finding, Plugin, Retry, Situation, Task, Wait
from carex.testing import Clock, call, employees


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


@plugin.strategy("typed_last")
def last(situation: Situation) -> Choice | None:
    if "vip" in situation.facts:
        return None
    return Choice(situation.candidates[-1].id, "the last one")


@plugin.presence("typed_absence")
async def absent(client: Client, ids: Sequence[int], now: datetime) -> dict[int, str]:
    return {id: "absent until tomorrow" for id in ids if await client.ask(f"{id} at {now}")}


@plugin.webhook("/typed")
def asked(call: Call) -> Task:
    if "text" not in call.query:
        raise BadCall("text", "is missing")
    return Task("typed_ask", {"text": call.query["text"]}, key=f"typed:{call.query['text']}")


@plugin.check
async def knows(client: Client) -> list[Finding]:
    return [Finding("it answers", fix="" if await client.ask("?") else "Ask again.")]


async def test_an_answer(tmp_path: Path) -> None:
    clock = Clock()
    clock.advance(60.0)
    async with employees(tmp_path, "Anna", clock=clock) as people:
        outcome = await call(plugin.handlers["typed_ask"], {"text": "why"}, client=Client(), people=people)
    if isinstance(outcome, Done):
        assert outcome.result == {"answer": 3}
    else:
        assert outcome.reason
