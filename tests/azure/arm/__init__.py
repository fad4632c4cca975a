"""An Azure Resource Manager on loopback for tests; see ../README.md.

Owns its processes, sockets and folder, and removes them. Must know nothing of the engine.
"""

from tests.azure.arm.faults import Fault
from tests.azure.arm.server import ArmServer

__all__ = ["ArmServer", "Fault"]
