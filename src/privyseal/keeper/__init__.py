"""The trusted process: requests, evidence, decisions, receipts, and the backends behind them."""
