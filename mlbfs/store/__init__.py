"""The chunk store: chunks, packs, chunk index, recipes, directory indexes."""
