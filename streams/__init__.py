"""The stream: Kafka in, decisions out.

A Faust app on a transport of our own (`transport`, `offsets`) hands slices of a partition to a pure function
(`slices`, `dead_letters`, `dialects`) through two stages (`pipeline`, with its `breaker`) and writes the outputs
(`delivery`). `app` puts it together, `worker` runs it as a process (`settings`, `startup`, `warm_up`, `logs`), and
`health`, `progress` and `metrics` tell how it does.
"""
