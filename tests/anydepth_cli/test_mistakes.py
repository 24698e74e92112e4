import signal
import time

from anydepth_cli.mistakes import Mistakes


class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_that_arrives_in_a_finaliser_ends_the_program_all_the_same(capsys):
    """There Python prints what is raised, as ignored, and goes on."""
    # a shell's background jobs do not hear Ctrl-C: here the program shall
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Mistakes("prog") as ending:
            Interrupted()
            time.sleep(10)
        assert ending.status == 130
        assert capsys.readouterr().err == "prog: interrupted\n"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
