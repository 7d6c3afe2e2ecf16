"""The bundled model, its held-out data, and the script that made both (see README.md here)."""
