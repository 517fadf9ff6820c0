"""Rows that rest on networks whose weights people bring: ``files`` finds and checks them, ``networks`` loads them, ``distances``
and ``vbench`` are the arithmetic over what they say, ``judged`` puts it together. Nothing is downloaded.
"""
