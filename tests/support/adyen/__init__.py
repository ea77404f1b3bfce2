"""A stand-in of Adyen: stateful, asynchronous, signed, and held to Adyen's own API description."""
