"""Cloud credentials: the broker that calls AWS, its stores, and its local servers."""
