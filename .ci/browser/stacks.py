"""Stacks for the tests of the page: a client of portplex.v1 in a few lines."""

import itertools
import os
import queue

import grpc

import portplex_pb2 as v1
import portplex_pb2_grpc as rpc

TCP, UDP = v1.TRANSPORT_TCP, v1.TRANSPORT_UDP
SOON = 20


class Operator:
    """Single calls."""

    def __init__(self, door, structure):
        self.channel = grpc.insecure_channel(door)
        self.stub = rpc.StructuresStub(self.channel)
        self.structure = structure

    def submit(self, **what):
        request = v1.SubmitRequest(structure=self.structure, request=v1.Request(**what))
        return self.stub.Submit(request, timeout=SOON)

    def define(self, dvipa, transport=TCP):
        return self.submit(define=v1.Target(dvipa=dvipa, transport=transport))

    def delete(self, dvipa, transport=TCP):
        return self.submit(delete=v1.Target(dvipa=dvipa, transport=transport))

    def policy(self, dvipa, **policy):
        target = v1.Target(dvipa=dvipa, transport=TCP)
        return self.submit(set_policy=v1.SetPolicy(target=target, policy=v1.Policy(**policy)))


class Stack:
    """One stack and its stream, which stands until the process ends."""

    def __init__(self, door, structure, name, promise_ms=0, ports=((1024, 64512),)):
        self.name = name
        self.channel = grpc.insecure_channel(door)
        self.calls, self.out = itertools.count(1), queue.SimpleQueue()
        self.out.put(v1.StackCall(hello=v1.Hello(structure=structure, release="browser test")))
        self.answers = rpc.StacksStub(self.channel).Calls(iter(self.out.get, None))
        assert next(self.answers).HasField("welcome")
        identity = v1.Identity(machine=os.urandom(16), boot=os.urandom(16), process=7)
        who = v1.Introduction(name=name, identity=identity, promise_ms=promise_ms)
        self.actor = self.call(connect=v1.ConnectCall(introduction=who, presence=1)).connected
        self.number = 0
        self.members, self.grants = {}, []
        ranges = [v1.PortRange(first=first, count=count) for first, count in ports]
        for transport in (TCP, UDP):
            self.ask(set_allowable=v1.SetAllowable(transport=transport, ports=v1.PortSet(ranges=ranges)))

    def call(self, **what):
        call = next(self.calls)
        self.out.put(v1.StackCall(call=call, **what))
        answer = next(self.answers)
        assert answer.call == call, answer
        assert answer.HasField("reply"), f"{self.name}: {answer}"
        return answer.reply

    def ask(self, **body):
        self.number += 1
        request = v1.StackRequest(actor=self.actor, number=self.number, lowest=self.number, **body)
        return self.call(submit=v1.Request(stack=request))

    def join(self, dvipa, transport=TCP):
        target = v1.Target(dvipa=dvipa, transport=transport)
        member = self.ask(join=target).joined.member
        self.members[dvipa, transport] = member
        return member

    def acquire(self, dvipa, groups, transport=TCP):
        member = self.members.get((dvipa, transport)) or self.join(dvipa, transport)
        granted = self.ask(acquire=v1.Acquire(member=member, at_least=groups, at_most=groups)).granted.grants
        self.grants += granted
        return granted

    def claim(self, dvipa, port):
        member = self.members.get((dvipa, TCP)) or self.join(dvipa)
        granted = self.ask(claim=v1.Claim(member=member, port=port)).granted.grants
        self.grants += granted
        return granted

    def release(self, grant, mask=None):
        mask = grant.mask if mask is None else mask
        self.ask(release=v1.Release(member=grant.member, group=grant.group, grant=grant.lsn, mask=mask))
