"""How good a result is: metrics against exact truth."""
