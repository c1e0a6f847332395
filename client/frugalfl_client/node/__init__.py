"""A lean Flower node: one process that keeps the connection and trains, for small devices.

It speaks the Fleet API of an unmodified SuperLink. What it needs of Flower's internals is in
:mod:`frugalfl_client.node.flower`, and nowhere else.
"""
