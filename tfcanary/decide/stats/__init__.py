"""Pure mathematics: what the judge, the drift evaluation and the comparison of predictions compute with."""
