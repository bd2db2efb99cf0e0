"""The tables behind notifications: plain rows in, plain rows out. What they mean is the business of ``alerts``.

Every function takes a connection, so that a caller decides what shares a transaction (``Store.write``).
"""
