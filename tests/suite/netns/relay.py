"""A slow link: passes bytes on in order, as late as the file of delays says at the moment.

python3 relay.py FROM_PORT TO_PORT ADDRESS FILE; the file holds two numbers, least delay and jitter in ms.
"""

import asyncio
import random
import sys

FROM_PORT, TO_PORT, ADDRESS, FILE = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
CHOICE = random.Random(7)


def delay_s():
    least, jitter = (float(word) for word in open(FILE, encoding="ascii").read().split())
    return (least + CHOICE.random() * jitter) / 1_000


async def passed_on(reader, writer):
    waiting = asyncio.Queue(maxsize=256)
    clock = asyncio.get_running_loop().time

    async def deliver():
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not data:
                return writer.close()
            writer.write(data)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    due = 0.0
    try:
        while True:
            data = await reader.read(65_536)
            due = max(due, clock() + delay_s())
            await waiting.put((due, data))
            if not data:
                return await delivering
    except OSError:
        delivering.cancel()
        writer.close()


async def link(near_reader, near_writer):
    try:
        far_reader, far_writer = await asyncio.open_connection(ADDRESS, TO_PORT)
    except OSError:
        return near_writer.close()
    ways = passed_on(near_reader, far_writer), passed_on(far_reader, near_writer)
    await asyncio.gather(*ways, return_exceptions=True)


async def main():
    server = await asyncio.start_server(link, ADDRESS, FROM_PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
