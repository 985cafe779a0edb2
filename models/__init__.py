"""Models turn numbers into a label.

Text model and trees give scores, calibration gives probabilities of leaves, the taxonomy adds them up, and the
threshold of each node decides. `classifier` is all of it at once, `bundle` is its folder on disk, `registry`
keeps it in MLflow (`mlflow_store`). `familiarity` tells what of a product is new, and `caution` what that changes.
`serving` keeps one loaded and up to date in a process that serves it.
"""
