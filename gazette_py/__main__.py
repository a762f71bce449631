"""`python -m gazette_py` is `gazette-py`."""

from gazette_py.cli.main import main

main()
