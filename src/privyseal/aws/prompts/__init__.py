"""Ways to ask a person for the code of an MFA device, each a module or a row of a table."""
