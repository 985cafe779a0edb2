from benchmarks.harness.product_events import n_products, number_of, products


def test_events_start_over_with_the_catalogue_and_keep_their_own_ids() -> None:
    n_rows = n_products()
    batch = products(n_rows + 2)
    assert [number_of(key.encode()) for key in batch["product_id"].slice(n_rows).to_pylist() if key] == [
        n_rows,
        n_rows + 1,
    ]
    without_ids = batch.select(batch.schema.names[1:])
    assert without_ids.slice(n_rows).equals(without_ids.slice(0, 2))
