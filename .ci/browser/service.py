"""A real `portplex serve` for the tests, and what `portplex display` says of its store."""

import json
import os
import pathlib
import subprocess

BINARY = os.environ.get("PORTPLEX_BINARY", "target/debug/portplex")


class Service:
    def __init__(self, dir, structure="EZBEPORT1121", beside=None):
        """`beside` is a second structure, in a store of its own."""
        self.dir, self.structure, self.listen = pathlib.Path(dir) / "store", structure, "127.0.0.1:0"
        self.beside = beside
        self.process = None

    def start(self):
        arguments = [BINARY, "serve", "--json", "--listen", self.listen]
        if self.beside:
            places = {self.structure: self.dir, self.beside: self.dir.with_name("beside")}
            tables = [f'[[structure]]\nname = "{name}"\ndata = "{place}"\n' for name, place in places.items()]
            file = self.dir.with_name("portplex.toml")
            file.write_text("init = true\n" + "".join(tables))
            arguments += ["--config", str(file)]
        else:
            arguments += ["--data", str(self.dir)]
        if not self.beside and not self.dir.exists():
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
