"""What idle event streams cost the process that holds them.

    trellis serve                                       # in another terminal
    python perf/micro/idle_streams.py 1000

Signs one person up, opens the streams, uploads a photograph, and tells how long the streams took to
open, when the news reached the first and the last of them, and what memory and processor time the
serving process needed (from /proc, so on Linux; the process is the one that listens on the port).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

from trellis_demo.phone import Phone

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_OPENING_AT_ONCE = 50
_IDLE_SECONDS = 30


async def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="streams to open")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    options = parser.parse_args()
    phone = await asyncio.to_thread(signed_in, options.url)
    server = serving_process(urlsplit(options.url).port or 80)
    before = memory(server)
    began = time.perf_counter()
    gate = asyncio.Semaphore(_OPENING_AT_ONCE)
    streams = await asyncio.gather(*(opened(phone, gate) for _ in range(options.count)))
    held = [stream for stream in streams if stream is not None]
    say("opened", f"{len(held)} of {options.count} in {time.perf_counter() - began:.1f} s")
    grown = memory(server) - before
    say(
        "memory",
        f"{before:.0f} MiB, then {grown:.1f} MiB more: {1024 * grown / len(held):.0f} KiB each",
    )
    spent = processor_seconds(server)
    await asyncio.sleep(_IDLE_SECONDS)
    share = (processor_seconds(server) - spent) / _IDLE_SECONDS
    say("idle", f"{100 * share:.0f} % of one core")
    asking = time.perf_counter()
    await asyncio.to_thread(phone.http.get, "/health/live")
    say("a request beside", f"{1000 * (time.perf_counter() - asking):.0f} ms")
    arriving = asyncio.gather(*(news(reader) for reader, _ in held))
    await asyncio.to_thread(phone.upload)
    times = await arriving
    say("news", f"reached the last {1000 * (max(times) - min(times)):.0f} ms after the first")


def say(what: str, found: str) -> None:
    """One line of the result."""
    print(f"{what:<18}{found}")  # noqa: T201


def signed_in(url: str) -> Phone:
    """A new person, by the local mailbox."""
    phone = Phone(url)
    phone.verify(phone.sign_up())
    phone.sign_in()
    return phone


async def opened(phone: Phone, gate: asyncio.Semaphore) -> Connection | None:
    """Open one stream and read up to its first cursor; None when it is refused."""
    address = urlsplit(phone.base_url)
    async with gate:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        authorization = phone.headers["Authorization"]
        writer.write(
            f"GET /v1/stream HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: {authorization}\r\n\r\n".encode()
        )
        if b" 200 " not in await reader.readline():
            writer.close()
            return None
        await reader.readuntil(b"id: ")
        return reader, writer


async def news(reader: asyncio.StreamReader) -> float:
    """When the next entry is here."""
    await reader.readuntil(b"event: media.asset_ready/1")
    return time.perf_counter()


def serving_process(port: int) -> int:
    """The process with most sockets of those whose listening socket is on the port."""
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    holders = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            sockets = [str(entry.readlink()) for entry in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(f"socket:[{inode}]" in sockets for inode in inodes):
            holders.append(int(process.name))
    return max(holders)  # granian's worker is younger than the process that started it


def memory(pid: int) -> float:
    """Resident memory in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_seconds(pid: int) -> float:
    """Processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    asyncio.run(main())
