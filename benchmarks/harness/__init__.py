"""What the benchmarks share: events, ways to process them, clocks, checks of the results, and tables.

A way is a process that reads events and writes results; it is started, watched from outside and told to stop, all
ways by the same rule (`backlog`).
"""
