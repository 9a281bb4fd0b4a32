"""A proxy that loses replies: what was asked has been done, and nobody is told."""

from __future__ import annotations

import asyncio
import random
import threading


class LossyProxy:
    """Passes TCP traffic to a port on the loopback address and cuts connections when a reply comes back.

    Attributes:
        replies: how many replies came; cut: how many of them were lost.
    """

    def __init__(self, target: int, share: float, seed: int):
        self.replies = self.cut = 0
        self._target = target
        self._share = share
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = started.result()
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        upstream = asyncio.create_task(_pump(reader, back_writer))
        try:
            while reply := await back_reader.read(1 << 20):
                if reply.startswith(b"HTTP/") and self._loses():
                    break
                writer.write(reply)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            upstream.cancel()
            writer.close()
            back_writer.close()

    def _loses(self) -> bool:
        lost = self._random.random() < self._share
        self.replies += 1
        self.cut += lost
        return lost


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
        await writer.drain()
