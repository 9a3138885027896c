"""Redeem tokens of itch.io: what it gives the buyer of a sub-product. Off until configured."""
