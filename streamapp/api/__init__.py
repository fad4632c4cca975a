"""The look-up API: answers an administrator's questions from the store.

``server`` puts it together, ``routes`` answers, ``queries`` asks the database, ``auth`` and ``audit``
say who asked, ``rate`` how often they may, ``protocol`` how big and slow a request may be, ``stats``
reads what ``/metrics`` and ``data_lag_sec`` need, ``problems`` is how errors look. It reads
and audits; it never changes an entity.
"""
