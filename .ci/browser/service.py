"""A real `portplex serve` for the tests, and what `portplex display` says of its store."""

import json
import os
import pathlib
import subprocess

BINARY = os.environ.get("PORTPLEX_BINARY", "target/debug/portplex")


class Service:
    def __init__(self, dir, structure="EZBEPORT1121"):
        self.dir, self.structure, self.listen = pathlib.Path(dir) / "store", structure, "127.0.0.1:0"
        self.process = None

    def start(self):
        arguments = [BINARY, "serve", "--json", "--data", str(self.dir), "--listen", self.listen]
        if not self.dir.exists():
            arguments += ["--init", "--vtam-group", self.structure[8:10], "--tcp-group", self.structure[10:12]]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, "the service did not start"
        self.url = json.loads(line)["doors"][0]
        self.listen = self.door = self.url.removeprefix("http://")
        return self

    def stop(self):
        """Ends in order: everything is in the store then."""
        self.process.terminate()
        self.process.communicate(timeout=30)
        return self.process.returncode

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def display(self, what):
        """Only while the service does not run: it has the store locked."""
        arguments = [BINARY, "display", what, "--data", str(self.dir), "--json"]
        return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
