"""The stream consumer: batches taken from Faust's consumer below the stream iterator.

``transport`` is the Faust side (membership, rebalancing, commits), ``writer`` the database side
(decode, one transaction a batch, retry), ``progress`` the books and the watermark, ``health`` what
``/healthz`` and ``/readyz`` answer. Nothing here knows a manifest, a plan or the engine.
"""
