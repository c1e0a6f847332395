"""Card fraud over the branches of a bank: what is of this subject only.

``files`` reads what a branch has, ``prepare`` makes of it what models are trained and tested on;
``simulator`` makes transactions if there are none to be had; ``study`` runs every method. What
another subject can use as well is in ``frugalfl_client.data`` (files to arrays),
``frugalfl_sim.rare_cases`` (measuring scores) and ``frugalfl_sim.comparison`` (the report).
"""
