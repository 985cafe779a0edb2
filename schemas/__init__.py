"""What is on the wire: Avro schemas, the Confluent frame, columns of products, headers and the errors.

Bytes become an Arrow batch (`decoding`), are checked by column (`validation`), and decisions become bytes again
(`encoding`). `columns` has the Arrow schemas, `topics` the contract of each topic, `product_files` reads the same
products from a person's file. Nothing here knows what a feature or a model is.
"""
