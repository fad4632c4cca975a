"""The backfill: files, a PostgreSQL source or synthetic events into the store, in chunks that can be resumed."""
