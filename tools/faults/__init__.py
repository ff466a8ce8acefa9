"""Faults of a telescope, of any size, put into simulated words from a data time on.

For the tests of the verdicts, and to measure how small a fault each check finds:

    from muonstream.simulation.scenario import SimulationConfig
    from tools.faults import FAULTS, with_fault

    chunks = with_fault(FAULTS["noisy cell"], 300.0, at_s=120.0, scenario=SimulationConfig(duration_s=240.0))
"""

from tools.faults.fault import Fault, Injection
from tools.faults.simulated import by_time, simulated, with_fault
from tools.faults.table import FAULTS

__all__ = ["FAULTS", "Fault", "Injection", "by_time", "simulated", "with_fault"]
