"""Tasks of example, for Carex."""

from dataclasses import dataclass

from carex import Context, Fail, Plugin
from pydantic import BaseModel


class Settings(BaseModel, extra="forbid"):
    """The table [plugins.example] of carex.toml."""

    greeting: str = "Hello"


plugin = Plugin("example", settings=Settings)


@dataclass
class Greeting:
    name: str


@plugin.handler("example_greet", attempts=5, timeout=30.0)
async def greet(greeting: Greeting, ctx: Context) -> dict[str, str]:
    """Greet somebody."""
    if not greeting.name.strip():
        raise Fail("There is nobody to greet.")
    ctx.log.info(f"Greeting {greeting.name}")
    return {"text": f"{ctx.settings.greeting}, {greeting.name}!"}
