"""How others put models and updates on the wire, and whole federations that do so."""
