"""A mail server that delivers nothing: `python -m tools.servers.mail PORT` prints each mail that it is given."""

from __future__ import annotations

import asyncio
import sys
from email import message_from_bytes, policy


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As much SMTP (RFC 5321) as a client without extensions needs."""

    def say(text: str) -> None:
        writer.write(f"{text}\r\n".encode())

    recipients: list[str] = []
    say("220 localhost takes mail and keeps it")
    while line := (await reader.readline()).decode("utf-8", "replace").strip():
        verb = line[:4].upper()
        if verb == "RCPT":
            recipients.append(line.partition(":")[2].strip())
        if verb == "DATA":
            say("354 go on, end with a dot")
            content = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
            show(content, recipients)
            recipients = []
        say("221 bye" if verb == "QUIT" else "250 ok")
        if verb == "QUIT":
            break
    writer.close()


def show(content: bytes, recipients: list[str]) -> None:
    mail = message_from_bytes(content, policy=policy.default)
    text = mail.get_body(("plain", "html"))
    said = str(text.get_content()).strip() if text else ""
    print(f"Mail to {', '.join(recipients)}: {mail['subject']}\n{said}", flush=True)


async def serve(port: int) -> None:
    async with await asyncio.start_server(talk, "127.0.0.1", port, limit=1 << 26) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
