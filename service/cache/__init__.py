"""What has been observed, remembered in two tiers: this process and Redis behind it."""
