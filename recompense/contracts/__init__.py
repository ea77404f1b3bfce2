"""What the layers promise each other: the provider port, workflow inputs and results, typed
activity stubs.
"""
