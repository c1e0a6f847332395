"""Several ways to get a model, side by side over seeds: on a terminal, as JSON and as one page.

The ways are branches alone, all rows in one place, and federations: ``rows.METHODS``. A pilot, such
as simulations/fraud/pilot.py, makes the rows; everything here reads them.
"""
