"""How good scores are when few rows are positive: ranking, alerts a day, calibrated probabilities.

Written for card fraud, so that a positive row is a fraud and what is checked is a card; any task
with rare positives, an owner and a time of each row, and an amount at stake, is measured alike.
"""
