"""Local servers that hand credentials to a command, as a container or an EC2 instance gets them."""
