"""What an operator deploys, really built, started and asked."""
