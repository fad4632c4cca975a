"""What stands behind resources: data planes that are really there."""
