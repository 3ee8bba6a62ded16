"""Entities: small states that run one operation after the other, and can be locked.

An entity exists as soon as a message reaches it. Its messages wait in one queue; an
orchestration that holds its lock is served alone until it gives the lock back.
"""
