"""A store with something of everything: whole, shared, part, free; quarantine; a stack that failed; a
list that is full, one that is closed; names as long as names may be; two hundred lists."""

from stacks import TCP, UDP, Operator, Stack

LONG = "A-VERY-LONG-SYSTEM-NAME-THAT-SOMEBODY-CHOSE.TCPIP-OF-PRODUCTION1"
LONG_DVIPA = "2001:db8:1234:5678:9abc:def0:1234:5678"
assert len(LONG) == 64


class Scene:
    def __init__(self, service, lists=200):
        self.operator = Operator(service.door, service.structure)
        # Groups are taken from port 2048 on, so that those below are free for claims.
        high = ((2048, 63488),)
        stack = lambda name, ports=high, **more: Stack(service.door, service.structure, name, ports=ports, **more)
        self.one = one = stack("SYS1.TCPIP", promise_ms=600_000)
        self.two = two = stack("SYS2.TCPIP")
        self.three = three = stack("SYS3.TCPIP")
        self.long = long = stack(LONG)
        small = stack("EDGE-7", ports=((40000, 640),))
        for many, groups in ((one, 60), (two, 41), (three, 25), (long, 12)):
            for _ in range(4):
                many.acquire("10.20.0.1", groups // 4)
        # Parts: what one gives up stays in quarantine for the others, then another claims beside it.
        four, five = (stack(name, ports=((1024, 64512),)) for name in ("SYS4.TCPIP", "SYS5.TCPIP"))
        for port in (1_030, 1_031, 1_040, 1_999):
            four.claim("10.20.0.1", port)
        for port in (1_033, 1_050):
            five.claim("10.20.0.1", port)
        for grant in one.grants[::7]:
            one.release(grant)
        two.release(two.grants[3], two.grants[3].mask & 0xFFFF00)
        long.acquire(LONG_DVIPA, 3)
        two.acquire("10.20.0.2", 4, UDP)
        small.acquire("10.20.0.3", 10)
        three.acquire("10.20.0.4", 2)
        self.operator.delete("10.20.0.4")
        self.operator.define("10.20.0.5")
        self.operator.policy("10.20.0.5", quarantine_ms=5_000, quota=640)
        failing = stack("SYS9.TCPIP")
        failing.acquire("10.20.0.1", 8)
        actor = failing.actor
        self.operator.submit(mark_failed={"name": "SYS9.TCPIP", "incarnation": actor.incarnation, "by": "OPERATOR"})
        for number in range(lists - 6):
            self.operator.define(f"10.30.{number // 250}.{number % 250 + 1}")
