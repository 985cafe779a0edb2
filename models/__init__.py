"""Models turn numbers into a label.

Text model and trees give scores, calibration gives probabilities of leaves, the taxonomy adds them up, and the
threshold of each node decides. `classifier` is all of it at once, `bundle` is its folder on disk, `registry` is
what talks to MLflow.
"""
