"""The tree as outsiders see it: checkpoints, tiles, proofs, and who watches them."""
