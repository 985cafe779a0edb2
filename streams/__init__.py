"""The stream: Kafka in, decisions out.

A Faust app on a transport of our own (`transport`, `consumer_thread`, `offsets`) hands slices of a partition to a
pure function (`slices`, `dead_letters`, `dialects`) through two stages (`pipeline`, with its `breaker`) and writes
the outputs: at least once (`delivery`) or exactly once (`transactions`, `partition_transaction`). `app` puts it
together, `worker` runs it as a process (`settings`, `startup`, `warm_up`, `logs`, `deadline`), and `health`,
`progress` and `metrics` tell how it does.
"""
