"""``python -m cloud_model.cli``."""

from cloud_model.cli.group import main

main()
