"""What docker/ holds is checked here as far as that goes without an engine, and built by buildah."""
