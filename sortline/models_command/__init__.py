"""`sortline models`: what is registered in MLflow, what differs, and which version workers run.

`display` prints versions, differences and verdicts; `command` is the command line. The rules are in
`training.gate` and `training.promotion`.
"""
