"""Counts checks, reports "N passed, N failed", as harness.mjs does."""

import sys
import traceback

passed = 0
failed = 0


def check(name):
    """Runs the function below it at once."""
    def run(body):
        global passed, failed
        try:
            body()
            passed += 1
            print(f"ok   {name}", flush=True)
        except BaseException:
            failed += 1
            print(f"FAIL {name}: {traceback.format_exc()}", flush=True)
        return body
    return run


def finish():
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(0 if failed == 0 else 1)
