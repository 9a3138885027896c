"""`python -m service` is `ownership-gateway`."""

from service.cli import main

main()
