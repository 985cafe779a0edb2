"""The local stack: a real Kafka broker and a real schema registry on this machine.

`stack.open_stack` gives one `Stack`, with two ways to run it: containers (`docker.py`, described by
`compose.yaml`) and Java processes from Maven archives (`jvm.py`). Either is ephemeral as a whole: what `up`
started and stored, `down` ends and removes, topics and schema ids together, because records whose schema ids are
gone could not be read.
"""
