"""From one published event back to all that it came of, and the decision made once more to see whether it holds.

`finding` says what is at an offset, `models` which bundle decided, `recompute` decides again, `lineage` puts the
chain together, `display` prints it.
"""
