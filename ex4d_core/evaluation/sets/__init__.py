"""Public sets of clips that several cameras filmed at once, brought into the form of a benchmark: one file a set.

``views`` says what a reader gives and writes the cases; ``kinds`` lists the readers. Nothing is downloaded.
"""
