"""All that knows itch.io: transport, wire structs, classification and the ownership source."""
