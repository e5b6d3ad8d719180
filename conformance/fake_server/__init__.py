"""A server that does what a script says, wrong answers and broken connections too."""

from conformance.fake_server.call import Call
from conformance.fake_server.script import Script, Step
from conformance.fake_server.server import FakeServer

__all__ = ["Call", "FakeServer", "Script", "Step"]
