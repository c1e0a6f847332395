"""Card fraud over the branches of a bank: data, preparation, features.

``files`` reads what a branch has, ``prepare`` makes of it what models are trained and tested on;
``simulator`` makes transactions where there are none to be had. Only numpy and pyarrow are needed.
"""
