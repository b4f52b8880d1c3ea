"""Says its last words and exits with the status in argv."""

import sys

print("last words on stdout")
print("last words on stderr", file=sys.stderr)
sys.exit(int(sys.argv[1]))
