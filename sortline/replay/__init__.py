"""A range of products.created decided again with any model, and compared with what was published.

`published` holds what subscribers got, `run` decides again batch by batch, `difference` counts what changed,
`display` and `page` show it; `publishing` writes the new decisions where that is asked for.
"""
