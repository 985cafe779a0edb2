"""The model of a process that serves one for as long as it runs, over Kafka or over HTTP.

`store` opens it and tells which version an alias means, `follower` takes a new version while the old one serves,
after `try_out`. `served` is what all of them call a model, `described` one with its manifest, `metrics` what is
counted of it.
"""
