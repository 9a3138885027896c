"""The parts of a gateway, each built from the settings: what opens them closes them again."""
