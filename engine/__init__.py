"""txplan's engine: from a manifest to a graph, a plan, and its application."""
