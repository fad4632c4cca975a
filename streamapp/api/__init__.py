"""The look-up API: answers an administrator's questions from the store.

``server`` puts it together, ``routes`` answers, ``queries`` asks the database, ``auth`` and ``audit``
say who asked, ``stats`` reads what ``/metrics`` and ``data_lag_sec`` need, ``problems`` is how errors
look. It reads and audits; it never changes an entity.
"""
