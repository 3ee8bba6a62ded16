"""The rules of entities: named states that run one operation at a time and can be locked.

An entity exists as soon as a message reaches it. Its messages wait in one queue. While an
orchestration holds its lock, only the messages of that orchestration are handled.
"""
