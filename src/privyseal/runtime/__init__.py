"""The asyncio shells that several processes share: bus, sockets, store file, configuration."""
