"""The stream: Kafka in, decisions out.

A Faust app on a transport of our own (`transport`, `loop_consumer`, `fetch_gate`, `offsets`) hands slices of a
partition to a pure function (`slices`, `dead_letters`, `dialects`) through two stages (`pipeline`, with its
`breaker`) and writes the outputs (`routing`): at least once (`delivery`) or exactly once (`transactions`,
`partition_transaction`). Records stay columns all the way: `batch_format`, `batch_reading`, `columnar_fetch` and
`record_slice` on the way in, `output_columns` and `batch_writing` on the way out. The model is changed
under way (`model_watch`, `announcements`; the rules are those of `models.serving`), and `swap_records` tell from
where on. `app` puts it together, `worker` runs it as a process (`settings`, `startup`, `lean_start`, `cold_start`,
`warm_up`, `memory`, `logs`, `client_watch`, `deadline`), and `health`, `progress` and `metrics` tell how it does.
`replay` and `offset_kind` are for commands that look back.
"""
