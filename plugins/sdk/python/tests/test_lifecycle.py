"""What hooks of the lifecycle make of the host's calls."""

import logging
import unittest

from trellis import lifecycle
from trellis._errors import Err


class LifecycleTest(unittest.TestCase):
    def setUp(self) -> None:
        lifecycle._start = lifecycle._save = lifecycle._stop = None
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def test_hooks_that_are_not_there_do_nothing(self) -> None:
        self.assertFalse(lifecycle.has_handler())
        lifecycle.begin(b"saved")
        lifecycle.end()
        self.assertEqual(lifecycle.keep(), b"")

    def test_what_was_saved_is_handed_on(self) -> None:
        handed: list[bytes | None] = []
        lifecycle.start(handed.append)
        lifecycle.save(lambda: b"kept")
        self.assertTrue(lifecycle.has_handler())
        lifecycle.begin(None)
        lifecycle.begin(lifecycle.keep())
        self.assertEqual(handed, [None, b"kept"])

    def test_an_exception_of_start_is_told_the_host_and_one_of_stop_is_not(self) -> None:
        def fail(saved: bytes | None = None) -> None:
            raise ValueError("not now")

        lifecycle.start(fail)
        lifecycle.stop(fail)
        with self.assertRaises(Err) as raised:
            lifecycle.begin(b"saved")
        self.assertEqual(raised.exception.value, "ValueError: not now")
        lifecycle.end()


if __name__ == "__main__":
    unittest.main()
