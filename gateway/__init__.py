"""The same decisions over HTTP, for callers that have no Kafka.

`server` runs it as a process (`settings`), `app` puts it together. `products` are what comes in: JSON to the
columns that the stream has; `deciding` checks and decides on them by the code of the stream, `answers` are what
goes out. `micro_batches` decides single products together, `model_slot` holds the model and `following` keeps it
up to date. Pages: `predictions`, `open_inference` (with `inference_tensors`), `served`, `health`. `problems` are
all errors, `bodies` reads requests, `checking` sorts out invalid products, `metrics` counts, `api_document`
describes it all.

`publishing` puts products on the stream's topic (`product_writer`, `deliveries`).

Around the pages (`guards`): `access` lets callers in by `api_keys` (changed by `key_files`) and `rate_limits`,
`body_limits` reads bodies, `refusals` answers those that nobody wants, `slow_clients` watches connections.
"""
