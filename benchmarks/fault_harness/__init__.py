"""The parts of `benchmarks/faults.py`.

Events whose place is known beforehand, workers as processes, a broker that can be killed, the faults themselves,
and the account of what a subscriber saw.
"""
