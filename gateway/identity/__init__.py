"""Who is calling: tokens, proofs of possession and the issuers behind them."""
