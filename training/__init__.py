"""Make a model: snapshot of the compacted catalogue topic, split, fit, calibrate, evaluate, bundle.

`snapshot` reads `products.catalog` into a file with its lineage; `fit` turns labelled products into a model bundle
and says how good it is. Both are deterministic: the same products and the same seed give the same bundle.
"""
