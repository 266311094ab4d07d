"""`ifl-hub train` for several processes.

accelerate launch training_scripts/train.py --from safl-net-lite0 --data DIR --out runs/mine
"""

import sys

from ifl_hub.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()
