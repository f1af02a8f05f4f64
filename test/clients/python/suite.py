"""What the programs of this folder share: checks that are counted and printed."""

import traceback


class Checks:
    """Counts the outcomes and prints one line for each."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, check, *args):
        try:
            check(*args)
        except Exception:
            self.failed += 1
            print(f"FAIL  {name}: {traceback.format_exc()}")
        else:
            self.passed += 1
            print(f"ok    {name}")

    def finish(self):
        """Prints the totals and gives the exit status."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def equal(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def read(path):
    with open(path, "rb") as file:
        return file.read()
