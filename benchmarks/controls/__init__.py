"""The controls: what the platform is compared with, each small, and a fair best effort."""
